/* SPDX-License-Identifier: MIT */
/* To come: for now an idle picture. */
#include "scene.h"
void scene_bad(struct qxl *qxl)
{
	scene_ready(qxl);
	for (;;)
		machine_wait(UINT64_MAX);
}
