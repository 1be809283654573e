/* SPDX-License-Identifier: MIT */
/*
 * A virtio disk. Requests go from guest memory to the image without a copy where the guest's buffers
 * each lie in one piece of memory. Section numbers are those of Virtual I/O Device 1.2.
 */
#include "hypervisor/virtio_blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "hypervisor/virtio_pci.h"

enum {
	QUEUE_SIZE = 256,
	REQUESTS = 64, /* in flight at most */
	PER_TURN = 256, /* taken from the ring before others get the loop */
	SEG_MAX = QUEUE_SIZE - 2, /* header and status have theirs */
	BOUNCE_MAX = 4 << 20,
	MAX_DISCARD_SECTORS = 4 << 20, /* 2 GiB */
	MAX_ZEROES_SECTORS = 64 << 10, /* 32 MiB: it may have to be written */
	CLASS_STORAGE_SCSI = 0x010000,
	/* The fields that our features guard end here. */
	CONFIG_SIZE = offsetof(struct virtio_blk_config, unused1) + 3,
};

struct disk_request {
	struct block_request io;
	struct virtio_blk *disk;
	struct disk_request *next_free;
	uint8_t *bounce;
	uint64_t data_bytes;
	struct iovec iov[QUEUE_SIZE];
	struct virtqueue_chain chain;
};

struct virtio_blk {
	struct virtio_device dev; /* its lock guards all of this */
	struct block *block;
	char id[VIRTIO_BLK_ID_BYTES];
	bool stopped;
	/* Each is two pages: those used before are used again before a fresh one is touched. */
	struct disk_request *requests;
	struct disk_request *free;
	unsigned fresh; /* requests[fresh] and on were never used */
};

static struct virtio_blk *from_device(struct virtio_device *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

static struct guest_memory *memory_of(const struct virtio_blk *disk)
{
	return disk->dev.pci.host->memory;
}

/* 5.2.6.2: without FLUSH, or when the driver chose write-through, a write is durable when done. */
static bool writes_through(const struct virtio_blk *disk)
{
	if (!virtio_device_has(&disk->dev, VIRTIO_BLK_F_FLUSH))
		return true;
	return virtio_device_has(&disk->dev, VIRTIO_BLK_F_CONFIG_WCE) &&
		!disk->dev.config[offsetof(struct virtio_blk_config, wce)];
}

static struct disk_request *acquire(struct virtio_blk *disk)
{
	struct disk_request *request = disk->free;

	if (request) {
		disk->free = request->next_free;
	} else if (disk->fresh < REQUESTS) {
		request = &disk->requests[disk->fresh++];
		request->disk = disk;
	}
	return request;
}

/* ---- the end of a request ---- */

static void release(struct disk_request *request)
{
	free(request->bounce);
	request->bounce = NULL;
	request->next_free = request->disk->free;
	request->disk->free = request;
}

/* Writes the status, which is the last writable byte (5.2.6), and gives the chain back. */
static void answer(struct disk_request *request, uint8_t status, uint64_t written)
{
	struct virtio_blk *disk = request->disk;
	const struct virtqueue_chain *chain = &request->chain;

	if (virtqueue_chain_write(memory_of(disk), chain, chain->in_bytes - 1, &status, 1) < 0)
		virtio_device_break(&disk->dev, "a request's status lies outside of memory");
	virtio_device_push(&disk->dev, 0, chain->head, (uint32_t)(written + 1));
	release(request);
}

static void serve(struct virtio_blk *disk);

/* Loop thread, lock not held. */
static void request_done(struct block_request *io, int result)
{
	struct disk_request *request = container_of(io, struct disk_request, io);
	struct virtio_blk *disk = request->disk;
	uint64_t written = io->op == BLOCK_READ ? request->data_bytes : 0;

	pthread_mutex_lock(&disk->dev.pci.lock);
	if (!virtio_device_is_live(&disk->dev)) { /* broken, or a reset waits for us */
		release(request);
	} else {
		if (!result && io->op == BLOCK_READ && request->bounce)
			result = virtqueue_chain_write(memory_of(disk), &request->chain, 0,
				request->bounce, request->data_bytes);
		answer(request, result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK,
			result ? 0 : written);
		virtio_device_interrupt(&disk->dev, 0);
		serve(disk);
	}
	pthread_mutex_unlock(&disk->dev.pci.lock);
}

/* ---- the beginning of a request ---- */

/* The host's view of [skip, skip + data_bytes) of a part of the chain; false where a segment is not
 * in one piece of memory. */
static bool map_directly(struct disk_request *request, const struct virtqueue_segment *segments,
	unsigned count, uint64_t skip, bool for_write)
{
	uint64_t left = request->data_bytes;
	uint32_t used = 0;

	for (unsigned i = 0; i < count && left; i++) {
		uint64_t length;
		void *host;

		if (skip >= segments[i].size) {
			skip -= segments[i].size;
			continue;
		}
		length = MIN(left, segments[i].size - skip);
		host = guest_pointer(
			memory_of(request->disk), segments[i].gpa + skip, length, for_write);
		if (!host)
			return false;
		request->iov[used++] = (struct iovec){ host, length };
		left -= length;
		skip = 0;
	}
	request->io.iov_count = used;
	return true;
}

/* Points io.iov at the request's data, which is behind the header or before the status. */
static int map_data(struct disk_request *request, bool is_read)
{
	const struct virtqueue_chain *chain = &request->chain;
	const struct virtqueue_segment *segments = is_read ? chain->segments + chain->out_count
							   : chain->segments;
	uint64_t skip = is_read ? 0 : sizeof(struct virtio_blk_outhdr);

	request->io.iov = request->iov;
	if (map_directly(
		    request, segments, is_read ? chain->in_count : chain->out_count, skip, is_read))
		return 0;
	if (request->data_bytes > BOUNCE_MAX)
		return -EFAULT;
	request->bounce = malloc(request->data_bytes);
	if (!request->bounce)
		return -ENOMEM;
	request->iov[0] = (struct iovec){ request->bounce, request->data_bytes };
	request->io.iov_count = 1;
	if (is_read)
		return 0;
	return virtqueue_chain_read(
		memory_of(request->disk), chain, skip, request->bounce, request->data_bytes);
}

static int submit(struct disk_request *request)
{
	request->io.done = request_done;
	return block_submit(request->disk->block, &request->io);
}

static int start_transfer(struct disk_request *request, enum block_op op, uint64_t sector)
{
	const struct virtqueue_chain *chain = &request->chain;
	bool is_read = op == BLOCK_READ;
	int err;

	request->data_bytes = is_read ? chain->in_bytes - 1
				      : chain->out_bytes - sizeof(struct virtio_blk_outhdr);
	if (sector > UINT64_MAX / BLOCK_SECTOR || request->data_bytes >= UINT32_MAX)
		return -EINVAL;
	err = map_data(request, is_read);
	if (err)
		return err;
	request->io.op = op;
	request->io.durable = writes_through(request->disk);
	request->io.offset = sector * BLOCK_SECTOR;
	request->io.size = request->data_bytes;
	return submit(request);
}

/* DISCARD and WRITE_ZEROES: one range, as max_*_seg says. */
static int start_range(struct disk_request *request, enum block_op op, uint8_t *status)
{
	const struct virtqueue_chain *chain = &request->chain;
	struct virtio_blk_discard_write_zeroes range;
	uint32_t flags, sectors, known;

	if (chain->out_bytes != sizeof(struct virtio_blk_outhdr) + sizeof(range) ||
		virtqueue_chain_read(memory_of(request->disk), chain,
			sizeof(struct virtio_blk_outhdr), &range, sizeof(range)) < 0)
		return -EINVAL;
	flags = le32toh(range.flags);
	sectors = le32toh(range.num_sectors);
	known = op == BLOCK_DISCARD ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	if (flags & ~known) { /* 5.2.6.2 */
		*status = VIRTIO_BLK_S_UNSUPP;
		return -EOPNOTSUPP;
	}
	if (le64toh(range.sector) > UINT64_MAX / BLOCK_SECTOR ||
		sectors > (op == BLOCK_DISCARD ? MAX_DISCARD_SECTORS : MAX_ZEROES_SECTORS))
		return -EINVAL;
	request->io.op = op;
	request->io.durable = writes_through(request->disk);
	request->io.may_unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	request->io.offset = le64toh(range.sector) * BLOCK_SECTOR;
	request->io.size = (uint64_t)sectors * BLOCK_SECTOR;
	return submit(request);
}

static void answer_id(struct disk_request *request)
{
	struct virtio_blk *disk = request->disk;
	uint64_t size = MIN(request->chain.in_bytes - 1, (uint64_t)sizeof(disk->id));

	if (virtqueue_chain_write(memory_of(disk), &request->chain, 0, disk->id, size) < 0)
		answer(request, VIRTIO_BLK_S_IOERR, 0);
	else
		answer(request, VIRTIO_BLK_S_OK, size);
}

/* Begins what the header says, or answers at once. */
static void start(struct disk_request *request, const struct virtio_blk_outhdr *header)
{
	uint64_t sector = le64toh(header->sector);
	uint8_t status = VIRTIO_BLK_S_IOERR;
	int err = -EOPNOTSUPP;

	request->io = (struct block_request){ .op = BLOCK_FLUSH };
	switch (le32toh(header->type)) {
	case VIRTIO_BLK_T_IN: err = start_transfer(request, BLOCK_READ, sector); break;
	case VIRTIO_BLK_T_OUT: err = start_transfer(request, BLOCK_WRITE, sector); break;
	case VIRTIO_BLK_T_FLUSH: err = submit(request); break;
	case VIRTIO_BLK_T_DISCARD: err = start_range(request, BLOCK_DISCARD, &status); break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		err = start_range(request, BLOCK_WRITE_ZEROES, &status);
		break;
	case VIRTIO_BLK_T_GET_ID: answer_id(request); return;
	default: status = VIRTIO_BLK_S_UNSUPP;
	}
	if (err)
		answer(request, status, 0);
}

/* Takes one request from the ring and begins it; false when there is none, or not now. */
static bool serve_one(struct virtio_blk *disk)
{
	struct disk_request *request = acquire(disk);
	struct virtio_blk_outhdr header;

	if (!request)
		return false;
	if (virtio_device_pop(&disk->dev, 0, &request->chain) != 1) {
		release(request);
		return false;
	}
	if (!request->chain.in_bytes ||
		virtqueue_chain_read(memory_of(disk), &request->chain, 0, &header, sizeof(header)) <
			0) {
		virtio_device_break(&disk->dev, "a request has no header or no status");
		release(request);
		return false;
	}
	start(request, &header);
	return true;
}

/* Takes requests until the ring is empty or too many are in flight. Loop thread, lock held. */
static void serve(struct virtio_blk *disk)
{
	unsigned taken = 0;

	while (!disk->stopped && virtio_device_is_live(&disk->dev)) {
		if (taken == PER_TURN) {
			virtio_device_serve_again(&disk->dev, 0);
			break;
		}
		if (!serve_one(disk))
			break;
		taken++;
	}
	if (taken)
		virtio_device_interrupt(&disk->dev, 0);
}

/* ---- operations of the device ---- */

static void disk_notify(struct virtio_device *dev, unsigned index)
{
	serve(from_device(dev));
}

static void disk_config_write(
	struct virtio_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	/* The cache mode is the one thing that may be written (5.2.5.1). */
	if (offset == offsetof(struct virtio_blk_config, wce) && size == 1 && bytes[0] <= 1 &&
		virtio_device_has(dev, VIRTIO_BLK_F_CONFIG_WCE))
		dev->config[offset] = bytes[0];
}

static void disk_reset(struct virtio_device *dev)
{
	struct virtio_blk *disk = from_device(dev);

	/* The device is not live now, so the requests in flight end without an answer. */
	pthread_mutex_unlock(&dev->pci.lock);
	block_drain(disk->block);
	pthread_mutex_lock(&dev->pci.lock);
	if (!block_is_read_only(disk->block))
		dev->config[offsetof(struct virtio_blk_config, wce)] = 1;
}

static const struct virtio_device_ops disk_ops = {
	.queue_notify = disk_notify,
	.config_write = disk_config_write,
	.reset = disk_reset,
};

/* ---- making and ending ---- */

static void fill_config(struct virtio_blk *disk)
{
	uint32_t physical_sectors = block_physical_size(disk->block) / BLOCK_SECTOR;
	struct virtio_blk_config config = {
		.capacity = htole64(block_size(disk->block) / BLOCK_SECTOR),
		.seg_max = htole32(SEG_MAX),
		.blk_size = htole32(BLOCK_SECTOR),
		.physical_block_exp = (uint8_t)__builtin_ctz(physical_sectors),
		.min_io_size = htole16((uint16_t)physical_sectors),
	};
	uint64_t features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_FLUSH;

	if (block_is_read_only(disk->block)) {
		features |= 1ull << VIRTIO_BLK_F_RO;
	} else {
		features |= 1ull << VIRTIO_BLK_F_CONFIG_WCE | 1ull << VIRTIO_BLK_F_DISCARD |
			1ull << VIRTIO_BLK_F_WRITE_ZEROES;
		config.wce = 1;
		config.max_discard_sectors = htole32(MAX_DISCARD_SECTORS);
		config.max_discard_seg = htole32(1);
		config.discard_sector_alignment = htole32(physical_sectors);
		config.max_write_zeroes_sectors = htole32(MAX_ZEROES_SECTORS);
		config.max_write_zeroes_seg = htole32(1);
		config.write_zeroes_may_unmap = 1;
	}
	disk->dev.features = features;
	memcpy(disk->dev.config, &config, CONFIG_SIZE);
	disk->dev.config_size = CONFIG_SIZE;
}

int virtio_blk_create(struct virtio_blk **out, struct pci_host *host, struct pci_bus *bus,
	struct block *block, const char *serial)
{
	struct virtio_blk *disk = calloc(1, sizeof(*disk));
	int err = -ENOMEM;

	if (!disk)
		return -ENOMEM;
	disk->block = block;
	if (serial)
		memcpy(disk->id, serial, strnlen(serial, sizeof(disk->id)));
	disk->requests = calloc(REQUESTS, sizeof(*disk->requests));
	if (!disk->requests)
		goto fail;
	err = virtio_device_init(&disk->dev, &disk_ops, "virtio-blk", host, VIRTIO_ID_BLOCK,
		CLASS_STORAGE_SCSI, 1, QUEUE_SIZE);
	if (err)
		goto fail;
	fill_config(disk);
	err = pci_bus_plug(bus, &disk->dev.pci, 0, 0);
	if (err)
		goto fail;
	*out = disk;
	return 0;
fail:
	virtio_blk_destroy(disk);
	return err;
}

void virtio_blk_stop(struct virtio_blk *disk)
{
	pthread_mutex_lock(&disk->dev.pci.lock);
	disk->stopped = true;
	pthread_mutex_unlock(&disk->dev.pci.lock);
	block_drain(disk->block);
}

void virtio_blk_destroy(struct virtio_blk *disk)
{
	if (!disk)
		return;
	if (disk->dev.ops) {
		virtio_blk_stop(disk);
		virtio_device_finish(&disk->dev);
	}
	free(disk->requests);
	free(disk);
}
