/* SPDX-License-Identifier: MIT */
/* i440FX (82441FX data sheet), PIIX3 (82371SB), PIIX4 function 3 (82371AB): what of their registers
 * means something here. */
#include "hypervisor/chipset.h"

#include <string.h>

#include "core/util.h"
#include "hypervisor/pci_internal.h"
#include "hypervisor/pm.h"

enum {
	INTEL = 0x8086,
	I440FX_HOST = 0x1237,
	PIIX3_ISA = 0x7000,
	PIIX4_PM = 0x7113,
	CLASS_HOST_BRIDGE = 0x060000,
	CLASS_ISA_BRIDGE = 0x060100,
	CLASS_BRIDGE_OTHER = 0x068000,

	/* Host bridge. Shadow RAM is plain RAM here, whatever these say; firmware reads back what
	 * it wrote. */
	I440FX_PAM0 = 0x59,
	I440FX_PAM6 = 0x5f,
	I440FX_SMRAM = 0x72,

	PIIX3_PIRQ_A = 0x60,
	PIIX3_PIRQ_OFF = 0x80,

	PIIX4_PMBA = 0x40,
	PIIX4_DEVACTB_APMC = 0x5b, /* byte 3 of DEVACTB */
	PIIX4_APMC_ENABLE = 0x02,
	PIIX4_PMREGMISC = 0x80,

	SLOT_HOST = 0,
	SLOT_PIIX = 1,
};

static void isa_config_written(struct pci_device *dev, uint32_t offset, unsigned size)
{
	for (unsigned link = 0; link < 4; link++)
		if (offset <= PIIX3_PIRQ_A + link && offset + size > PIIX3_PIRQ_A + link)
			pci_bus_route_link(dev->bus, link, dev->config[PIIX3_PIRQ_A + link]);
}

static const struct pci_device_ops isa_ops = { .config_written = isa_config_written };

static void init_host_bridge(struct pci_device *dev, struct pci_host *host)
{
	pci_device_init(
		dev, NULL, "host bridge", host, INTEL, I440FX_HOST, CLASS_HOST_BRIDGE, 2, false);
	memset(&dev->writable[I440FX_PAM0], 0xff, I440FX_PAM6 - I440FX_PAM0 + 1);
	dev->writable[I440FX_SMRAM] = 0xff;
}

static void init_isa_bridge(struct pci_device *dev, struct pci_host *host)
{
	pci_device_init(
		dev, &isa_ops, "isa bridge", host, INTEL, PIIX3_ISA, CLASS_ISA_BRIDGE, 0, false);
	memset(&dev->config[PIIX3_PIRQ_A], PIIX3_PIRQ_OFF, 4);
	memset(&dev->writable[PIIX3_PIRQ_A], 0x8f, 4);
}

/* The registers stand at PM_BASE, enabled, whatever is written; pm.c has them. */
static void init_pm(struct pci_device *dev, struct pci_host *host)
{
	pci_device_init(dev, NULL, "pm", host, INTEL, PIIX4_PM, CLASS_BRIDGE_OTHER, 3, false);
	dev->config[PCI_INTERRUPT_LINE] = PM_SCI_GSI;
	dev->config[PCI_INTERRUPT_PIN] = 1;
	pci_config_set32(dev->config, PIIX4_PMBA, PM_BASE | 1);
	dev->config[PIIX4_PMREGMISC] = 1;
	/* SMIs count as set up already: there is no system management mode, and SeaBIOS would wait
	 * for one. */
	dev->config[PIIX4_DEVACTB_APMC] = PIIX4_APMC_ENABLE;
}

int chipset_init(struct chipset *chipset, struct pci_host *host, struct pci_bus *bus)
{
	int err;

	init_host_bridge(&chipset->host_bridge, host);
	init_isa_bridge(&chipset->isa_bridge, host);
	init_pm(&chipset->pm, host);
	err = pci_bus_plug_at(bus, &chipset->host_bridge, SLOT_HOST << 3);
	if (!err)
		err = pci_bus_plug_at(bus, &chipset->isa_bridge, SLOT_PIIX << 3);
	if (!err)
		err = pci_bus_plug_at(bus, &chipset->pm, SLOT_PIIX << 3 | 3);
	return err;
}

void chipset_finish(struct chipset *chipset)
{
	pci_device_finish(&chipset->pm);
	pci_device_finish(&chipset->isa_bridge);
	pci_device_finish(&chipset->host_bridge);
}
