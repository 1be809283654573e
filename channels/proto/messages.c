/* SPDX-License-Identifier: MIT */
/* Makes the parser and the packer of each message out of the table. */
#include "channels/proto/messages.h"

#include <string.h>

#include "channels/proto/fields.h"

#define PROTO_FIELD(kind, name) proto_read_##kind(&r, &msg->name);
#define PROTO_PARSER(name, fields)                                                     \
	bool msg_##name##_parse(struct msg_##name *msg, const void *body, size_t size) \
	{                                                                              \
		struct wire_reader r;                                                  \
                                                                                       \
		memset(msg, 0, sizeof(*msg));                                          \
		wire_reader_init(&r, body, size);                                      \
		fields if (!wire_reader_ok(&r)) memset(msg, 0, sizeof(*msg));          \
		return wire_reader_ok(&r);                                             \
	}

PROTO_MESSAGES(PROTO_PARSER, PROTO_FIELD)
#undef PROTO_FIELD

#define PROTO_FIELD(kind, name) proto_write_##kind(&w, &msg->name);
#define PROTO_PACKER(name, fields)                                            \
	int msg_##name##_pack(struct buf *body, const struct msg_##name *msg) \
	{                                                                     \
		struct proto_writer w;                                        \
                                                                              \
		proto_writer_init(&w, body);                                  \
		fields return proto_writer_end(&w);                           \
	}

PROTO_MESSAGES(PROTO_PACKER, PROTO_FIELD)
