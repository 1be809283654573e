/* SPDX-License-Identifier: MIT */
/* What the parts of decoding share. */
#ifndef HYPERVISOR_SOFT_DECODE_H
#define HYPERVISOR_SOFT_DECODE_H

#include "hypervisor/soft_ops.h"

/* 0 when the bytes ended; decoder->out says so. */
uint8_t soft_decode_u8(struct soft_decoder *d);
/* Sign-extended; size: 0 to 3 for 1 to 8 bytes. */
int64_t soft_decode_imm(struct soft_decoder *d, unsigned size);
/* ModRM, SIB and displacement; once. */
void soft_decode_modrm(struct soft_decoder *d);
uint8_t soft_decode_byte_reg(const struct soft_decoder *d, unsigned reg);
/* The operands are byte registers. */
void soft_decode_byte_regs(struct soft_decoder *d);
/* By the tables of rows. */
void soft_decode_row(struct soft_decoder *d);

void soft_decode_one_byte(struct soft_decoder *d);
void soft_decode_two_byte(struct soft_decoder *d);

#endif
