/* SPDX-License-Identifier: MIT */
/* Kernel files: any bytes as a bzImage or PVH ELF, into a small guest memory. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "hypervisor/boot.h"

#define RAM_SIZE (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_region low = { .name = "low", .size = 0xa0000 };
	struct memory_region high = { .name = "high", .size = RAM_SIZE - 0xc0000 };
	uint8_t *ram = memory_region_alloc_host(RAM_SIZE);
	struct boot_config config = {
		.ram_below_4g = RAM_SIZE,
		.tables_gpa = RAM_SIZE - 0x20000,
		.rsdp_gpa = 0xf0000,
		.kernel = data,
		.kernel_size = size,
		.initrd = data,
		.initrd_size = size / 2,
		.append = "fuzz",
	};
	struct engine_start start;
	char *error = NULL;

	if (!ram || guest_memory_create(&config.memory, NULL, NULL))
		abort();
	low.host = ram;
	high.host = ram + 0xc0000;
	if (guest_memory_map(config.memory, &low, 0) ||
		guest_memory_map(config.memory, &high, 0xc0000))
		abort();
	boot_load(&config, &start, &error);
	free(error);
	guest_memory_destroy(config.memory);
	memory_region_free_host(ram, RAM_SIZE);
	return 0;
}
