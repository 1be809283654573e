/* SPDX-License-Identifier: MIT */
/*
 * SPICE's messages: one table says each message's fields, and makes its struct, its parser and its
 * packer. Numbers of messages, capabilities and flags are spice-protocol's (spice/enums.h).
 *
 *   bool msg_NAME_parse(struct msg_NAME *msg, const void *body, size_t size);
 *   int msg_NAME_pack(struct buf *body, const struct msg_NAME *msg);
 *
 * A parsed message borrows from `body` (wire_bytes, images, clips). False: malformed, *msg is
 * zeroed. Bytes behind the last known field are ignored, as newer peers may add fields. pack
 * appends to an empty buffer (in-message pointers count from its start); 0 or -ENOMEM, then the
 * buffer is empty. Messages without fields (ack, mark, ...) have no entry here.
 */
#ifndef CHANNELS_PROTO_MESSAGES_H
#define CHANNELS_PROTO_MESSAGES_H

#include <spice/enums.h>
#include <spice/protocol.h>

#include "channels/proto/types.h"

/* clang-format off */
#define PROTO_MESSAGES(M, F)                                                                       \
	/* ---- every channel ---- */                                                              \
	M(set_ack, F(u32, generation) F(u32, window))                                              \
	M(ack_sync, F(u32, generation))                                                            \
	M(ping, F(u32, id) F(u64, timestamp) F(rest, data))                                        \
	M(pong, F(u32, id) F(u64, timestamp))                                                      \
	M(migrate, F(u32, flags))                                                                  \
	M(wait_for_channels, F(waits, list)) /* also the display's inval_all_pixmaps */            \
	M(disconnecting, F(u64, timestamp) F(u32, reason))                                         \
	M(notify, F(u64, timestamp) F(u32, severity) F(u32, visibility) F(u32, what)               \
		F(blob, text))                                                                     \
	/* ---- main, from the server ---- */                                                      \
	M(main_init, F(u32, session_id) F(u32, display_channels_hint)                              \
		F(u32, supported_mouse_modes) F(u32, current_mouse_mode) F(u32, agent_connected)   \
		F(u32, agent_tokens) F(u32, multi_media_time) F(u32, ram_hint))                    \
	M(channels_list, F(channels, list))                                                        \
	M(mouse_mode, F(u16, supported_modes) F(u16, current_mode))                                \
	M(multi_media_time, F(u32, time))                                                          \
	M(agent_disconnected, F(u32, error_code))                                                  \
	M(agent_tokens, F(u32, num_tokens)) /* also agent_connected_tokens, agent_start */         \
	M(agent_data, F(rest, data))                                                               \
	M(name, F(blob, name)) /* counts its NUL */                                                \
	M(uuid, F(uuid, uuid))                                                                     \
	/* ---- main, from the client ---- */                                                      \
	M(client_info, F(u64, cache_size))                                                         \
	M(mouse_mode_request, F(u16, mode))                                                        \
	/* ---- display, from the server ---- */                                                   \
	M(display_mode, F(u32, width) F(u32, height) F(u32, bits))                                 \
	M(copy_bits, F(base, base) F(point, from))                                                 \
	M(inval_list, F(resources, list))                                                          \
	M(inval_one, F(u64, id)) /* palettes and cursors */                                        \
	M(surface_create, F(u32, surface_id) F(u32, width) F(u32, height) F(u32, format)           \
		F(u32, flags))                                                                     \
	M(surface_destroy, F(u32, surface_id))                                                     \
	M(monitors_config, F(heads, list))                                                         \
	M(draw_fill, F(base, base) F(brush, brush) F(u16, rop) F(mask, mask))                      \
	M(draw_copy, F(base, base) F(image, source) F(rect, area) F(u16, rop) F(u8, scale_mode)    \
		F(mask, mask)) /* also draw_blend */                                               \
	M(draw_opaque, F(base, base) F(image, source) F(rect, area) F(brush, brush) F(u16, rop)    \
		F(u8, scale_mode) F(mask, mask))                                                   \
	M(draw_masked, F(base, base) F(mask, mask)) /* blackness, whiteness, invers */             \
	M(draw_rop3, F(base, base) F(image, source) F(rect, area) F(brush, brush) F(u8, rop3)      \
		F(u8, scale_mode) F(mask, mask))                                                   \
	M(draw_transparent, F(base, base) F(image, source) F(rect, area) F(u32, source_color)      \
		F(u32, true_color))                                                                \
	M(draw_alpha_blend, F(base, base) F(u8, flags) F(u8, alpha) F(image, source)               \
		F(rect, area))                                                                     \
	M(draw_stroke, F(base, base) F(path, path) F(line, line) F(brush, brush) F(u16, rop)       \
		F(u16, back_rop))                                                                  \
	M(draw_text, F(base, base) F(string, string) F(rect, back_area) F(brush, brush)            \
		F(brush, back_brush) F(u16, rop) F(u16, back_rop))                                 \
	M(draw_composite, F(base, base) F(composite, composite))                                   \
	M(stream_create, F(u32, surface_id) F(u32, stream_id) F(u8, flags) F(u8, codec)            \
		F(u64, stamp) F(u32, stream_width) F(u32, stream_height) F(u32, source_width)      \
		F(u32, source_height) F(rect, dest) F(clip, clip))                                 \
	M(stream_data, F(u32, stream_id) F(u32, mm_time) F(blob, data))                            \
	M(stream_data_sized, F(u32, stream_id) F(u32, mm_time) F(u32, width) F(u32, height)        \
		F(rect, dest) F(blob, data))                                                       \
	M(stream_clip, F(u32, stream_id) F(clip, clip))                                            \
	M(stream_destroy, F(u32, stream_id))                                                       \
	M(stream_activate_report, F(u32, stream_id) F(u32, unique_id) F(u32, max_window_size)      \
		F(u32, timeout_ms))                                                                \
	/* ---- display, from the client ---- */                                                   \
	M(display_init, F(u8, pixmap_cache_id) F(i64, pixmap_cache_size)                           \
		F(u8, glz_dictionary_id) F(i32, glz_window_size))                                  \
	M(preferred_compression, F(u8, compression))                                               \
	M(preferred_video_codecs, F(u8, count) F(rest, codecs))                                    \
	M(stream_report, F(u32, stream_id) F(u32, unique_id) F(u32, start_mm_time)                 \
		F(u32, end_mm_time) F(u32, frames) F(u32, drops) F(i32, last_frame_delay)          \
		F(u32, audio_delay))                                                               \
	/* ---- inputs, both ways ---- */                                                          \
	M(key_code, F(u32, code)) /* down and up */                                                \
	M(key_modifiers, F(u16, modifiers)) /* also the server's init */                           \
	M(key_scancode, F(rest, codes))                                                            \
	M(mouse_motion, F(i32, dx) F(i32, dy) F(u16, buttons))                                     \
	M(mouse_position, F(u32, x) F(u32, y) F(u16, buttons) F(u8, display_id))                   \
	M(mouse_button, F(u8, button) F(u16, buttons)) /* press and release */                     \
	/* ---- cursor, from the server ---- */                                                    \
	M(cursor_init, F(point16, position) F(u16, trail_length) F(u16, trail_frequency)           \
		F(u8, visible) F(cursor, cursor))                                                  \
	M(cursor_set, F(point16, position) F(u8, visible) F(cursor, cursor))                       \
	M(cursor_move, F(point16, position))                                                       \
	M(cursor_trail, F(u16, length) F(u16, frequency))
/* clang-format on */

#define PROTO_FIELD(kind, name) PROTO_TYPE_##kind name;
#define PROTO_DECLARE(name, fields)                                                     \
	struct msg_##name {                                                             \
		fields                                                                  \
	};                                                                              \
	bool msg_##name##_parse(struct msg_##name *msg, const void *body, size_t size); \
	int msg_##name##_pack(struct buf *body, const struct msg_##name *msg);

PROTO_MESSAGES(PROTO_DECLARE, PROTO_FIELD)

#undef PROTO_DECLARE
#undef PROTO_FIELD

#endif
