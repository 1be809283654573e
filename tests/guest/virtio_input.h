/* SPDX-License-Identifier: MIT */
/* virtio-input devices (keyboard, mouse, tablet) over virtio 1.0 PCI with MSI-X. */
#ifndef GUEST_VIRTIO_INPUT_H
#define GUEST_VIRTIO_INPUT_H

void virtio_input_init(void);
void virtio_input_interrupt(void);

#endif
