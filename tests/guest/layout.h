/* SPDX-License-Identifier: MIT */
/* Addresses, vectors and ring-0 operations that the assembler, the linker script and C share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

/* Where the image is loaded, and the offsets in it of what the processor finds by address. */
#define BOOT_BASE  0x200000
#define BOOT_TSS   0x400
#define BOOT_GDT   0x480
#define BOOT_ENTRY 0x7f8 /* the address of pvh_entry, for the disk loader */
#define BOOT_IDT   0x800

/* Interrupt vectors: one for each pin of the IOAPIC, then those without a pin. */
#define VECTOR_IRQ0     0x20
#define VECTOR_KEYBOARD 0x21
#define VECTOR_MOUSE    0x2c
#define VECTOR_TIMER    0x38
#define VECTOR_VIRTIO   0x39
#define VECTOR_SPURIOUS 0x3f

/* What ring 3 asks of ring 0, in EAX of a UD2 (boot.S says which registers hold the rest). */
#define OP_IN8      0
#define OP_IN16     1
#define OP_IN32     2
#define OP_OUT8     3
#define OP_OUT16    4
#define OP_OUT32    5
#define OP_OUTS     6
#define OP_CPUID    7
#define OP_RDMSR    8
#define OP_WRMSR    9
#define OP_PCI_READ 10
#define OP_IDLE     11
#define OP_POLL     12

#endif
