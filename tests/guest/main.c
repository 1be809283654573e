/* SPDX-License-Identifier: MIT */
/* Entry in C: options, device, scene. */
#include "cpu.h"
#include "scene.h"
#include "time.h"

#define HVM_START_MAGIC 0x336ec578

enum { CANVAS_PIXELS = 2560 * 1600 };

static struct qxl qxl_device;
static uint32_t canvas_pixels[CANVAS_PIXELS] __attribute__((section(".lazy"), aligned(64)));

static const struct {
	const char *name;
	void (*run)(struct qxl *qxl);
	bool native;
} scenes[] = {
	{ "demo", scene_demo, true },
	{ "still", scene_still, true },
	{ "idle", scene_idle, true },
	{ "keys", scene_keys, true },
	{ "pointer", scene_pointer, true },
	{ "cursor", scene_cursor, true },
	{ "bench-latency", scene_latency, true },
	{ "video", scene_video, true },
	{ "movie", scene_movie, true },
	{ "drawings", scene_drawings, true },
	{ "bad", scene_bad, true },
	{ "vga", scene_vga, false },
};

struct fault_frame {
	uint64_t vector, error, rip, cs, rflags, rsp;
};

void guest_main(const struct hvm_start_info *start);
void guest_fault(const struct fault_frame *frame, uint64_t cr2);

void guest_fault(const struct fault_frame *frame, uint64_t cr2)
{
	guest_panic("fault %lu error %lx rip %lx rsp %lx cr2 %lx", frame->vector, frame->error,
		frame->rip, frame->rsp, cr2);
}

struct image scene_canvas(const struct qxl *qxl)
{
	return (struct image){ canvas_pixels, qxl->width, qxl->height, qxl->width };
}

/* "mode=1024x768" */
static void guest_mode(int32_t *width, int32_t *height)
{
	char text[16];
	uint32_t numbers[2] = { 0, 0 }, at = 0;

	*width = 1024;
	*height = 768;
	if (!option_text("mode", text, sizeof(text)))
		return;
	for (const char *c = text; *c; c++) {
		if (*c == 'x')
			at = 1;
		else if (*c >= '0' && *c <= '9')
			numbers[at] = numbers[at] * 10 + *c - '0';
	}
	if (numbers[0] < 320 || numbers[1] < 200 || numbers[0] > 2560 || numbers[1] > 1600)
		return;
	*width = numbers[0];
	*height = numbers[1];
}

static void guest_scene_name(char *name, size_t size)
{
	if (option_text("bad", name, size))
		memcpy(name, "bad", 4);
	else if (option_text("vga", name, size))
		memcpy(name, "vga", 4);
	else if (!option_text("test", name, size))
		memcpy(name, "demo", 5);
}

/* Writes beyond the memory would be lost one by one, and slowly. */
static void guest_check_memory(const struct hvm_start_info *start)
{
	extern const uint8_t lazy_end[];
	const struct hvm_memory *map = (const void *)(uintptr_t)start->memory_map;

	if (start->version < 1 || !start->memory_map_entries)
		return;
	for (uint32_t i = 0; i < start->memory_map_entries; i++)
		if (map[i].type == 1 && map[i].address <= BOOT_BASE &&
			map[i].address + map[i].size >= (uintptr_t)lazy_end)
			return;
	guest_panic("the guest needs 128 MiB of memory");
}

static void guest_native(int32_t width, int32_t height)
{
	if (!qxl_init(&qxl_device))
		guest_panic("no QXL device");
	qxl_mode_set(&qxl_device, width, height);
}

/* The VGA scenes want the device's BARs and decoding, but not its native mode. */
static void guest_vga(int32_t width, int32_t height)
{
	if (!pci_find(&qxl_device.pci, REDHAT_PCI_VENDOR_ID, QXL_DEVICE_ID_STABLE, 0))
		guest_panic("no QXL device");
	qxl_device.width = width;
	qxl_device.height = height;
}

void guest_main(const struct hvm_start_info *start)
{
	int32_t width, height;
	char name[24];

	time_init();
	if (start->magic == HVM_START_MAGIC && start->command_line)
		options_init((const char *)(uintptr_t)start->command_line);
	log_init();
	guest_check_memory(start);
	machine_init(start, &qxl_device);
	guest_scene_name(name, sizeof(name));
	guest_mode(&width, &height);
	for (unsigned i = 0; i < ARRAY_SIZE(scenes); i++) {
		if (!text_equal(scenes[i].name, name))
			continue;
		if (scenes[i].native)
			guest_native(width, height);
		else
			guest_vga(width, height);
		scenes[i].run(&qxl_device);
	}
	guest_panic("unknown test '%s'", name);
}
