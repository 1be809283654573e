/* SPDX-License-Identifier: MIT */
/* RSA tickets, and the stock of keys made ahead. */
#include "channels/link/ticket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/log.h"

struct ticket_key {
	int refs;
	struct ticket_key *next; /* in the stock */
	EVP_PKEY *pair;
	uint8_t public_key[SPICE_TICKET_PUBKEY_BYTES];
};

static void key_free(struct ticket_key *key)
{
	EVP_PKEY_free(key->pair);
	free(key);
}

/* Any thread. */
static struct ticket_key *key_make(void)
{
	struct ticket_key *key = calloc(1, sizeof(*key));
	uint8_t *end;

	if (!key)
		return NULL;
	key->refs = 1;
	key->pair = EVP_RSA_gen(SPICE_TICKET_KEY_PAIR_LENGTH);
	if (!key->pair || i2d_PUBKEY(key->pair, NULL) != SPICE_TICKET_PUBKEY_BYTES) {
		key_free(key);
		return NULL;
	}
	end = key->public_key;
	i2d_PUBKEY(key->pair, &end);
	return key;
}

struct ticket_key *ticket_key_ref(struct ticket_key *key)
{
	key->refs++;
	return key;
}

void ticket_key_unref(struct ticket_key *key)
{
	if (key && --key->refs == 0)
		key_free(key);
}

const uint8_t *ticket_key_public(const struct ticket_key *key)
{
	return key->public_key;
}

static EVP_PKEY_CTX *oaep_context(EVP_PKEY *pair, int (*init)(EVP_PKEY_CTX *))
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);

	/* OAEP's hash is SHA-1 unless told otherwise, which is SPICE's. */
	if (ctx && init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

bool ticket_key_check(
	struct ticket_key *key, const uint8_t ticket[TICKET_BYTES], const char *password)
{
	EVP_PKEY_CTX *ctx = oaep_context(key->pair, EVP_PKEY_decrypt_init);
	uint8_t got[TICKET_BYTES] = { 0 }, want[TICKET_BYTES] = { 0 };
	size_t size = sizeof(got), length;
	bool right;

	if (!ctx)
		return false;
	right = EVP_PKEY_decrypt(ctx, got, &size, ticket, TICKET_BYTES) > 0;
	EVP_PKEY_CTX_free(ctx);
	/* What is behind the ticket's NUL does not count. */
	length = strnlen((const char *)got, sizeof(got));
	memset(got + length, 0, sizeof(got) - length);
	length = strlen(password);
	memcpy(want, password, length < sizeof(want) ? length : sizeof(want));
	right &= CRYPTO_memcmp(got, want, sizeof(want)) == 0;
	OPENSSL_cleanse(got, sizeof(got));
	OPENSSL_cleanse(want, sizeof(want));
	return right;
}

int ticket_encrypt(uint8_t ticket[TICKET_BYTES],
	const uint8_t public_key[SPICE_TICKET_PUBKEY_BYTES], const char *password)
{
	const uint8_t *der = public_key;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key;
	size_t size = TICKET_BYTES;
	int ret = -EPROTO;

	if (strlen(password) > SPICE_MAX_PASSWORD_LENGTH)
		return -EINVAL;
	key = d2i_PUBKEY(NULL, &der, SPICE_TICKET_PUBKEY_BYTES);
	if (key && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_size(key) == TICKET_BYTES)
		ctx = oaep_context(key, EVP_PKEY_encrypt_init);
	if (ctx &&
		EVP_PKEY_encrypt(
			ctx, ticket, &size, (const uint8_t *)password, strlen(password) + 1) > 0 &&
		size == TICKET_BYTES)
		ret = 0;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ret;
}

/* ---- the stock ---- */

/* One key in the making; outlives the stock when that goes meanwhile. */
struct key_job {
	struct ticket_keys *keys; /* NULL: nobody waits for it any more */
	struct ticket_key *key;
};

struct ticket_keys {
	struct loop *loop;
	struct pool *pool;
	uint32_t wanted;
	uint32_t count;
	struct ticket_key *fresh;
	struct ticket_key *last; /* given out most recently */
	struct key_job *job;
	struct ticket_wait *waits;
	struct loop_timer *refill;
};

/* A viewer's channels connect one after the other; making keys meanwhile would only slow them. */
enum { REFILL_DELAY_MS = 250 };

static void job_work(void *opaque)
{
	struct key_job *job = opaque;

	job->key = key_make();
}

static void keys_fill(struct ticket_keys *keys);

static void keys_wake(struct ticket_keys *keys)
{
	while (keys->waits) {
		struct ticket_wait *wait = keys->waits;

		keys->waits = wait->next;
		wait->waiting = false;
		wait->ready(wait);
	}
}

static void job_done(void *opaque)
{
	struct key_job *job = opaque;
	struct ticket_keys *keys = job->keys;

	if (!keys || !job->key) {
		ticket_key_unref(job->key);
		if (keys) {
			log_error("spice", "cannot make an RSA key");
			keys->job = NULL;
		}
		free(job);
		return;
	}
	job->key->next = keys->fresh;
	keys->fresh = job->key;
	keys->count++;
	keys->job = NULL;
	free(job);
	keys_fill(keys);
	keys_wake(keys);
}

/* Has the pool make one more key, when the stock is not full and none is in the making. */
static void keys_fill(struct ticket_keys *keys)
{
	bool enough = keys->wanted ? keys->count >= keys->wanted : keys->count || keys->last;

	if (enough || keys->job)
		return;
	keys->job = calloc(1, sizeof(*keys->job));
	if (!keys->job)
		return;
	keys->job->keys = keys;
	if (pool_submit(keys->pool, keys->loop, job_work, job_done, keys->job) < 0) {
		free(keys->job);
		keys->job = NULL;
	}
}

static void on_refill(void *opaque)
{
	keys_fill(opaque);
}

int ticket_keys_create(
	struct ticket_keys **out, struct loop *loop, struct pool *pool, uint32_t stock)
{
	struct ticket_keys *keys = calloc(1, sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	keys->loop = loop;
	keys->pool = pool;
	keys->wanted = stock;
	keys->refill = loop_timer_add(loop, on_refill, keys);
	if (!keys->refill) {
		free(keys);
		return -ENOMEM;
	}
	keys_fill(keys);
	*out = keys;
	return 0;
}

void ticket_keys_destroy(struct ticket_keys *keys)
{
	if (!keys)
		return;
	if (keys->job)
		keys->job->keys = NULL;
	loop_timer_remove(keys->refill);
	ticket_key_unref(keys->last);
	while (keys->fresh) {
		struct ticket_key *key = keys->fresh;

		keys->fresh = key->next;
		ticket_key_unref(key);
	}
	free(keys);
}

struct ticket_key *ticket_keys_take(struct ticket_keys *keys)
{
	struct ticket_key *key = keys->fresh;

	if (key) {
		keys->fresh = key->next;
		key->next = NULL;
		keys->count--;
		ticket_key_unref(keys->last);
		keys->last = key;
	}
	if (!keys->last)
		keys_fill(keys);
	else if (keys->wanted)
		loop_timer_arm(keys->refill, (uint64_t)REFILL_DELAY_MS * 1000000);
	return keys->last ? ticket_key_ref(keys->last) : NULL;
}

void ticket_keys_wait(struct ticket_keys *keys, struct ticket_wait *wait)
{
	if (wait->waiting)
		return;
	wait->waiting = true;
	wait->next = keys->waits;
	keys->waits = wait;
	keys_fill(keys);
}

void ticket_keys_unwait(struct ticket_keys *keys, struct ticket_wait *wait)
{
	for (struct ticket_wait **at = &keys->waits; *at; at = &(*at)->next) {
		if (*at == wait) {
			*at = wait->next;
			break;
		}
	}
	wait->waiting = false;
}
