/* SPDX-License-Identifier: MIT */
/*
 * The guest's way from the PVH entry (32-bit protected mode, EBX = struct hvm_start_info) to C code
 * in ring 3, and the whole of its ring 0.
 *
 * On a KVM without VMX/SVM every instruction before ring 3 and in ring 0 is interpreted, about one
 * microsecond each. So the page tables are ready-made in the image, nothing is cleared here, and
 * ring 3 comes in with UD2 (an exception reaches ring 0 on every kind of host) for what only ring 0
 * may do. Interrupts are on in ring 0's idle and poll alone, which return the vector that
 * came.
 */
#include "layout.h"

#define OP_COUNT 13

/* Everything the processor finds by a split address sits at a known offset of this section. */
	.section .boot, "awx"
	.globl boot_base
boot_base:

/* One 16-byte stub a vector. */
	.set vector, 0
	.rept 64
	.org vector * 16
	.code64
	.if vector == 6
	jmp	ring0_call
	.elseif vector == VECTOR_KEYBOARD || vector == VECTOR_MOUSE
	movl	$vector << 16, %eax
	jmp	ring0_i8042
	.elseif vector >= VECTOR_IRQ0
	movl	$vector, %eax
	jmp	ring0_irq
	.else
	/* The processor pushes an error code for 8, 10-14, 17 and 21. */
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq	$0
	.endif
	pushq	$vector
	jmp	ring0_fault
	.endif
	.set vector, vector + 1
	.endr

	.org BOOT_TSS
	.long	0
	.quad	kernel_stack_top	/* RSP0 */
	.fill	92 - 8 + 4, 1, 0
	.word	0, 104			/* no I/O bitmap: ports are ring 0's */

	.org BOOT_GDT
	.quad	0
	.quad	0x00cf9b000000ffff	/* 08 ring 0 code, 32 bits */
	.quad	0x00af9b000000ffff	/* 10 ring 0 code */
	.quad	0x00cf93000000ffff	/* 18 ring 0 data */
	.quad	0x00cffb000000ffff	/* 23 ring 3 code, 32 bits */
	.quad	0x00cff3000000ffff	/* 2b ring 3 data */
	.quad	0x00affb000000ffff	/* 33 ring 3 code */
	.quad	0
	/* 40: the TSS */
	.word	103, (BOOT_BASE + BOOT_TSS) & 0xffff
	.byte	((BOOT_BASE + BOOT_TSS) >> 16) & 0xff, 0x89, 0, (BOOT_BASE + BOOT_TSS) >> 24
	.quad	0
gdt_end:
gdtr:
	.word	gdt_end - boot_base - BOOT_GDT - 1
	.quad	BOOT_BASE + BOOT_GDT
idtr:
	.word	64 * 16 - 1
	.quad	BOOT_BASE + BOOT_IDT

	.org BOOT_ENTRY
	.quad	pvh_entry

	.org BOOT_IDT
	.set vector, 0
	.rept 64
	.word	(BOOT_BASE + vector * 16) & 0xffff, 0x10, 0x8e00, (BOOT_BASE + vector * 16) >> 16
	.quad	0
	.set vector, vector + 1
	.endr

/* 4 GiB one to one in 2 MiB pages, all of it ring 3's, accessed and dirty bits set beforehand. */
	.balign 4096
pml4:
	.quad	pdpt + 0x27
	.fill	511, 8, 0
pdpt:
	.quad	page_directories + 0x0027
	.quad	page_directories + 0x1027
	.quad	page_directories + 0x2027
	.quad	page_directories + 0x3027
	.fill	508, 8, 0
page_directories:
	.set page, 0
	.rept 2048
	.if page >= (0xfe000000 >> 21)
	.quad	(page << 21) + 0xff	/* interrupt chips and firmware: not cached */
	.else
	.quad	(page << 21) + 0xe7
	.endif
	.set page, page + 1
	.endr

/* ---- PVH entry: paging off, flat segments, EBX = hvm_start_info ---- */
	.section .boot.text, "ax"
	.code32
	.globl pvh_entry
pvh_entry:
	cld
	lgdt	gdtr
	movl	%cr4, %eax
	orl	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	andl	$~0xe, %eax		/* no emulated FPU, no lazy switching */
	orl	$0x80000023, %eax	/* PG, NE, MP, PE */
	movl	%eax, %cr0
	ljmp	$0x10, $long_mode
	.code64
long_mode:
	movl	$0x2b, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	$0x18, %ecx
	movl	%ecx, %ss
	movl	$kernel_stack_top, %esp
	lidt	idtr
	movl	$0x40, %ecx
	ltr	%cx
	movl	%ebx, %edi
	pushq	%rax			/* SS */
	pushq	$user_stack_top
	pushq	$2			/* RFLAGS: interrupts off */
	pushq	$0x33
	pushq	$user_entry
	iretq

/* ---- ring 3 starts here: native speed ---- */
user_entry:
	movq	%rdi, %r12
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	movq	%r12, %rdi
	call	guest_main
1:	xorl	%edx, %edx		/* guest_main does not return */
	movl	$OP_IDLE, %eax
	ud2
	jmp	1b

/* ---- UD2 from ring 3: EAX = operation, EDX = port or MSR, ECX = value ---- */
ring0_call:
	cmpl	$OP_COUNT, %eax
	jae	1f
	addq	$2, (%rsp)
	jmp	*call_table(, %rax, 8)
1:	pushq	$0
	pushq	$6
	jmp	ring0_fault

call_in8:
	xorl	%eax, %eax
	inb	%dx, %al
	iretq
call_in16:
	xorl	%eax, %eax
	inw	%dx, %ax
	iretq
call_in32:
	inl	%dx, %eax
	iretq
call_out8:
	movl	%ecx, %eax
	outb	%al, %dx
	iretq
call_out16:
	movl	%ecx, %eax
	outw	%ax, %dx
	iretq
call_out32:
	movl	%ecx, %eax
	outl	%eax, %dx
	iretq
call_outs:				/* RSI = bytes, ECX = how many */
	rep outsb
	iretq
call_cpuid:				/* EDI = leaf; RSI = uint32_t[4] */
	movl	%edi, %eax
	xorl	%ecx, %ecx
	movq	%rbx, %r8
	cpuid
	movl	%eax, (%rsi)
	movl	%ebx, 4(%rsi)
	movl	%ecx, 8(%rsi)
	movl	%edx, 12(%rsi)
	movq	%r8, %rbx
	iretq
call_rdmsr:
	movl	%edx, %ecx
	rdmsr
	shlq	$32, %rdx
	orq	%rdx, %rax
	iretq
call_wrmsr:				/* EDX = MSR, RSI = value */
	movl	%edx, %ecx
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
	wrmsr
	iretq
call_pci_read:				/* EDX = address for 0xcf8 */
	movl	%edx, %eax
	movl	$0xcf8, %edx
	outl	%eax, %dx
	movl	$0xcfc, %edx
	inl	%dx, %eax
	iretq
call_idle:
	sti
	hlt
	cli				/* only after a wake-up without an interrupt */
	xorl	%eax, %eax
	iretq

call_poll:
	sti
	nop
	nop
	cli
	xorl	%eax, %eax
	iretq

/* The i8042's byte and its status are taken at once, which saves ring 3 two ways to here and back:
 * EAX = vector << 16 | status << 8 | byte. */
ring0_i8042:
	inb	$0x64, %al
	movb	%al, %ah
	testb	$1, %al			/* without a byte, one that comes now keeps its interrupt */
	jz	ring0_irq
	inb	$0x60, %al

/* The interrupt came in idle's HLT or in poll: drop its frame and go back to ring 3 with the vector. */
ring0_irq:
	movl	$kernel_stack_top - 40, %esp
	iretq

/* An exception of our own code: tell it in ring 3. The stack holds vector, error code, RIP... */
ring0_fault:
	movq	%rsp, %rdi
	movq	%cr2, %rsi
	pushq	$0x2b
	pushq	$fault_stack_top
	pushq	$2
	pushq	$0x33
	pushq	$fault_entry
	iretq
fault_entry:
	call	guest_fault
	ud2

	.section .data
	.balign 16
call_table:
	.quad	call_in8, call_in16, call_in32, call_out8, call_out16, call_out32
	.quad	call_outs, call_cpuid, call_rdmsr, call_wrmsr, call_pci_read, call_idle
	.quad	call_poll

/* Not in .bss, which ring 3 clears on its way. */
	.balign 16
	.fill	512, 1, 0
kernel_stack_top:

	.section .bss
	.balign 16
	.skip	65536
user_stack_top:
	.skip	8192
fault_stack_top:

	.section .note.Xen, "a", @note
	.balign 4
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	pvh_entry
	.section .note.GNU-stack, "", @progbits
