/* SPDX-License-Identifier: MIT */
/* Two 8259A interrupt controllers. */
#include "hypervisor/pic.h"

enum { MASTER, SLAVE };

enum {
	ICW1 = 0x10,
	ICW1_NEEDS_ICW4 = 0x01,
	ICW4_AUTO_EOI = 0x02,
	ICW4_SPECIAL_FULLY_NESTED = 0x10,
	OCW3 = 0x08,
	OCW3_READ_ISR = 0x01,
	OCW3_READ = 0x02,
	OCW3_POLL = 0x04,
	OCW3_SPECIAL_MASK = 0x20,
	OCW3_SET_SPECIAL_MASK = 0x40,

	/* The command in OCW2's upper bits. */
	ROTATE_AUTO_OFF = 0,
	EOI = 1,
	EOI_SPECIFIC = 3,
	ROTATE_AUTO_ON = 4,
	EOI_ROTATE = 5,
	SET_PRIORITY = 6,
	EOI_SPECIFIC_ROTATE = 7,

	NONE = 8,
	SPURIOUS = 7,
	POLL_REQUEST = 0x80,
	SLAVE_LEVEL_IRQS = 0x0e,
	/* The timer, the keyboard and the cascade, the clock and the coprocessor are edges always. */
	MASTER_ELCR_WRITABLE = 0xf8,
	SLAVE_ELCR_WRITABLE = 0xde,
};

/* ---- one chip ---- */

/* How far the most urgent of `inputs` is from the highest priority; NONE when there is none. */
static unsigned rank(const struct pic_chip *chip, uint8_t inputs)
{
	for (unsigned i = 0; i < 8; i++)
		if (inputs >> ((chip->first + i) & 7) & 1)
			return i;
	return NONE;
}

/* The input that is to be served now, or NONE. */
static unsigned request(const struct pic_chip *chip)
{
	unsigned wanted = rank(chip, chip->irr & (uint8_t)~chip->imr);
	uint8_t serving = chip->isr;

	if (chip->special_mask)
		serving &= (uint8_t)~chip->imr;
	if (chip->special_fully_nested)
		serving &= (uint8_t) ~(1u << PIC_CASCADE_IRQ);
	if (wanted >= rank(chip, serving))
		return NONE;
	return (chip->first + wanted) & 7;
}

static void serve(struct pic_chip *chip, unsigned input)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (!(chip->elcr & bit))
		chip->irr &= (uint8_t)~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotate_on_auto_eoi)
		chip->first = (input + 1) & 7;
}

static void set_input(struct pic_chip *chip, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);

	/* An edge stays requested although the line falls: emulated devices' pulses are short. */
	if (level && ((chip->elcr & bit) || !(chip->lines & bit)))
		chip->irr |= bit;
	if (!level && (chip->elcr & bit))
		chip->irr &= (uint8_t)~bit;
	chip->lines = level ? chip->lines | bit : chip->lines & (uint8_t)~bit;
}

/* ---- both ---- */

/* The slave's output is the master's input. */
static void cascade(struct pic *pic)
{
	const uint8_t bit = 1u << PIC_CASCADE_IRQ;
	struct pic_chip *master = &pic->chips[MASTER];

	if (request(&pic->chips[SLAVE]) != NONE)
		master->irr |= bit;
	else
		master->irr &= (uint8_t)~bit;
}

void pic_reset(struct pic *pic)
{
	for (unsigned i = 0; i < 2; i++)
		pic->chips[i] = (struct pic_chip){ .lines = pic->chips[i].lines };
	pic->chips[SLAVE].elcr = SLAVE_LEVEL_IRQS;
	pic->chips[SLAVE].irr = pic->chips[SLAVE].lines & SLAVE_LEVEL_IRQS;
	cascade(pic);
}

void pic_set_irq(struct pic *pic, unsigned irq, bool level)
{
	if (irq >= PIC_IRQS || irq == PIC_CASCADE_IRQ)
		return;
	set_input(&pic->chips[irq / 8], irq % 8, level);
	cascade(pic);
}

bool pic_output(const struct pic *pic)
{
	return request(&pic->chips[MASTER]) != NONE;
}

uint8_t pic_acknowledge(struct pic *pic)
{
	struct pic_chip *chip = &pic->chips[MASTER];
	unsigned input = request(chip);

	if (input != NONE)
		serve(chip, input);
	if (input == PIC_CASCADE_IRQ) {
		chip = &pic->chips[SLAVE];
		input = request(chip);
		if (input != NONE)
			serve(chip, input);
	}
	cascade(pic);
	return (uint8_t)(chip->base + (input != NONE ? input : SPURIOUS));
}

/* ---- registers ---- */

static void begin_init(struct pic_chip *chip, uint8_t icw1)
{
	*chip = (struct pic_chip){
		.lines = chip->lines,
		.elcr = chip->elcr,
		.irr = chip->lines & chip->elcr,
		.base = chip->base,
		.expected_icw = 2,
		.needs_icw4 = icw1 & ICW1_NEEDS_ICW4,
	};
}

static void write_ocw2(struct pic_chip *chip, uint8_t value)
{
	unsigned command = value >> 5, input = value & 7;
	uint8_t serving = chip->isr;

	switch (command) {
	case ROTATE_AUTO_OFF:
	case ROTATE_AUTO_ON: chip->rotate_on_auto_eoi = command == ROTATE_AUTO_ON; break;
	case EOI:
	case EOI_ROTATE:
		if (chip->special_mask)
			serving &= (uint8_t)~chip->imr;
		if (rank(chip, serving) == NONE)
			break;
		input = (chip->first + rank(chip, serving)) & 7;
		/* fall through */
	case EOI_SPECIFIC:
	case EOI_SPECIFIC_ROTATE:
		chip->isr &= (uint8_t) ~(1u << input);
		if (command == EOI_ROTATE || command == EOI_SPECIFIC_ROTATE)
			chip->first = (input + 1) & 7;
		break;
	case SET_PRIORITY: chip->first = (input + 1) & 7; break;
	default: break;
	}
}

static void write_command(struct pic_chip *chip, uint8_t value)
{
	if (value & ICW1) {
		begin_init(chip, value);
	} else if (value & OCW3) {
		chip->polled = value & OCW3_POLL;
		if (value & OCW3_READ)
			chip->read_isr = value & OCW3_READ_ISR;
		if (value & OCW3_SET_SPECIAL_MASK)
			chip->special_mask = value & OCW3_SPECIAL_MASK;
	} else {
		write_ocw2(chip, value);
	}
}

static void write_data(struct pic_chip *chip, uint8_t value)
{
	switch (chip->expected_icw) {
	case 2:
		chip->base = value & 0xf8;
		chip->expected_icw = 3;
		break;
	case 3: /* who is slave where is wired */
		chip->expected_icw = chip->needs_icw4 ? 4 : 0;
		break;
	case 4:
		chip->auto_eoi = value & ICW4_AUTO_EOI;
		chip->special_fully_nested = value & ICW4_SPECIAL_FULLY_NESTED;
		chip->expected_icw = 0;
		break;
	default: chip->imr = value; break;
	}
}

static void write_elcr(struct pic_chip *chip, uint8_t value)
{
	uint8_t changed = chip->elcr ^ value;

	chip->elcr = value;
	/* What became a level is requested while it is high; what became an edge, at the next. */
	chip->irr = (chip->irr & (uint8_t)~changed) | (changed & value & chip->lines);
}

static uint8_t poll(struct pic_chip *chip)
{
	unsigned input = request(chip);

	chip->polled = false;
	if (input == NONE)
		return 0;
	serve(chip, input);
	return (uint8_t)(POLL_REQUEST | input);
}

uint8_t pic_read(struct pic *pic, uint16_t port)
{
	struct pic_chip *chip = &pic->chips[port >= PIC_SLAVE_PORT ? SLAVE : MASTER];
	uint8_t value;

	if ((port & ~1u) == PIC_ELCR_PORT)
		return pic->chips[port & 1].elcr;
	if (chip->polled) {
		value = poll(chip);
		cascade(pic);
		return value;
	}
	if (port & 1)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

void pic_write(struct pic *pic, uint16_t port, uint8_t value)
{
	static const uint8_t elcr_writable[] = { MASTER_ELCR_WRITABLE, SLAVE_ELCR_WRITABLE };
	struct pic_chip *chip = &pic->chips[port >= PIC_SLAVE_PORT ? SLAVE : MASTER];

	if ((port & ~1u) == PIC_ELCR_PORT)
		write_elcr(&pic->chips[port & 1], value & elcr_writable[port & 1]);
	else if (port & 1)
		write_data(chip, value);
	else
		write_command(chip, value);
	cascade(pic);
}
