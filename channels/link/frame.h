/* SPDX-License-Identifier: MIT */
/* Messages on a link: headers, sub-lists, and what every channel answers by itself. */
#ifndef CHANNELS_LINK_FRAME_H
#define CHANNELS_LINK_FRAME_H

#include "channels/link/link.h"

/* Writes the header of a message; returns its size: 6 (mini) or 18. */
uint8_t frame_header_write(
	uint8_t header[18], bool mini, uint64_t serial, uint16_t type, size_t size);
/* Takes one message from the link's input: 1, 0 when it is not complete, -EPROTO. */
int frame_input(struct link *link);
/* Bytes that the message at hand still lacks; 0 when its header is not here. */
size_t frame_missing_bytes(const struct link *link);

#endif
