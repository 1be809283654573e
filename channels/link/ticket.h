/* SPDX-License-Identifier: MIT */
/* The ticket of SPICE's handshake: the password, RSA-OAEP encrypted with a key that the server
 * made. */
#ifndef CHANNELS_LINK_TICKET_H
#define CHANNELS_LINK_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <spice/protocol.h>

#include "core/loop.h"
#include "core/pool.h"

enum { TICKET_BYTES = SPICE_TICKET_KEY_PAIR_LENGTH / 8 };

/* A key pair; reference-counted, loop thread only. */
struct ticket_key;

struct ticket_key *ticket_key_ref(struct ticket_key *key);
void ticket_key_unref(struct ticket_key *key); /* NULL is ignored */
/* Its public part as the link reply carries it (DER SubjectPublicKeyInfo). */
const uint8_t *ticket_key_public(const struct ticket_key *key);
/* Whether the ticket holds this password. Takes as long whatever differs. */
bool ticket_key_check(
	struct ticket_key *key, const uint8_t ticket[TICKET_BYTES], const char *password);

/* A stock of keys that the pool makes ahead, as making one takes tens of milliseconds. */
struct ticket_keys;

/* Keeps `stock` unused keys, made in the pool from now on. 0: one key serves every link, which is
 * enough where there is no password to guard. */
int ticket_keys_create(
	struct ticket_keys **out, struct loop *loop, struct pool *pool, uint32_t stock);
void ticket_keys_destroy(struct ticket_keys *keys); /* NULL is ignored */
/* A key for one link: a fresh one, or while the stock is empty the one used last. The caller unrefs
 * it. NULL only before the first was made: then ticket_keys_wait(). */
struct ticket_key *ticket_keys_take(struct ticket_keys *keys);
struct ticket_wait {
	void (*ready)(struct ticket_wait *wait);
	struct ticket_wait *next;
	bool waiting;
};

/* Calls wait->ready() once a key is there. */
void ticket_keys_wait(struct ticket_keys *keys, struct ticket_wait *wait);
void ticket_keys_unwait(struct ticket_keys *keys, struct ticket_wait *wait);

/* Client: encrypts the password with the server's key. 0, -EPROTO for a key we cannot use, -EINVAL
 * for a password that is too long (SPICE_MAX_PASSWORD_LENGTH). */
int ticket_encrypt(uint8_t ticket[TICKET_BYTES],
	const uint8_t public_key[SPICE_TICKET_PUBKEY_BYTES], const char *password);

#endif
