/* SPDX-License-Identifier: MIT */
/*
 * guest.img: sector 0 is this loader, sector 1 the command line (a test may patch it: text, then a
 * NUL), then the guest as it lies in memory. The loader reads it below 1 MiB with a few large reads,
 * gathers the E820 map, and enters the guest as a PVH loader would.
 */
#include "layout.h"

#define READ_SECTORS 64			/* 32 KiB, never across a 64 KiB boundary */
#define COMMAND_LINE 0xfe00
#define IMAGE_LOW    0x10000
#define MEMORY_MAP   0x1000		/* struct hvm_memory, 24 bytes each */
#define START_INFO   0x0600

	.code16
	.globl _start
_start:
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive

	movw	$message, %si
1:	lodsb
	testb	%al, %al
	jz	2f
	movb	$0x0e, %ah
	movw	$7, %bx
	int	$0x10
	jmp	1b
2:
	/* The command line alone, then the image piece by piece. */
	call	read
	movw	$IMAGE_LOW >> 4, packet_segment
	incw	packet_lba
	movw	$READ_SECTORS, packet_count
	movw	$(image_end - image + 512 * READ_SECTORS - 1) / (512 * READ_SECTORS), %bp
3:	call	read
	addw	$READ_SECTORS, packet_lba
	addw	$READ_SECTORS * 512 >> 4, packet_segment
	decw	%bp
	jnz	3b

	/* E820 gives 20 bytes, the last four of each entry stay reserved. */
	xorl	%ebx, %ebx
	movw	$MEMORY_MAP, %di
4:	movl	$0xe820, %eax
	movl	$0x534d4150, %edx
	movl	$20, %ecx
	movl	$0, 20(%di)
	int	$0x15
	jc	5f
	addw	$24, %di
	incb	map_count
	testl	%ebx, %ebx
	jz	5f
	cmpw	$MEMORY_MAP + 64 * 24, %di
	jb	4b
5:
	inb	$0x92, %al		/* A20 */
	orb	$2, %al
	andb	$0xfe, %al
	outb	%al, $0x92
	cli
	lgdt	gdtr
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmp	$8, $protected

read:
	movb	drive, %dl
	movw	$packet, %si
	movb	$0x42, %ah
	int	$0x13
	jc	6f
	ret
6:	movw	$failed, %si
7:	lodsb
	testb	%al, %al
	jz	8f
	movb	$0x0e, %ah
	movw	$7, %bx
	int	$0x10
	jmp	7b
8:	hlt
	jmp	8b

	.code32
protected:
	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$IMAGE_LOW, %esi
	movl	$BOOT_BASE, %edi
	movl	$(image_end - image) / 4, %ecx
	rep movsl
	movl	$START_INFO, %ebx
	movl	%ebx, %edi
	xorl	%eax, %eax
	movl	$14, %ecx
	rep stosl
	movl	$0x336ec578, (%ebx)
	movl	$1, 4(%ebx)
	movl	$COMMAND_LINE, 24(%ebx)
	movl	$MEMORY_MAP, 40(%ebx)
	movzbl	map_count, %eax
	movl	%eax, 48(%ebx)
	jmp	*BOOT_BASE + BOOT_ENTRY

	.balign 8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdtr:
	.word	23
	.long	gdt
packet:
	.byte	16, 0
packet_count:
	.word	1
	.word	0
packet_segment:
	.word	COMMAND_LINE >> 4
packet_lba:
	.quad	1
drive:
	.byte	0
map_count:
	.byte	0
message:
	.asciz	"spicebox demo: loading\r\n"
failed:
	.asciz	"disk read error"

	.org	510
	.word	0xaa55
	/* Sector 1: the command line. */
	.asciz	"demo"
	.org	1024
image:
	.incbin "guest.bin"
	.balign 4
image_end:
	/* Two cylinders of 16 heads and 63 sectors: SeaBIOS boots no disk without a whole one, and the
	 * last read may be longer than the image. */
	.org	2 * 16 * 63 * 512
	.section .note.GNU-stack, "", @progbits
