/* SPDX-License-Identifier: MIT */
/* To come: for now an idle picture. */
#include "scene.h"
void scene_demo(struct qxl *qxl)
{
	scene_idle(qxl);
}
