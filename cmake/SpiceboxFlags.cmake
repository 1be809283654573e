# SPDX-License-Identifier: MIT
# Compiler and linker flags of our own code, as an interface target: the freestanding guest in
# tests/guest is built by the same CMake run and must not inherit them.
add_library(spicebox_flags INTERFACE)
target_include_directories(spicebox_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(spicebox_flags INTERFACE _GNU_SOURCE SPICEBOX_VERSION="${PROJECT_VERSION}")
target_compile_options(spicebox_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:
	-std=gnu11
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
	-Wpointer-arith -Wundef
	# Operation tables and callbacks often do not need every argument.
	-Wno-unused-parameter
	# The kernel's headers end their structures in arrays that are filled by embedding them.
	$<$<C_COMPILER_ID:Clang>:-Wno-gnu-variable-sized-type-not-at-end>
	-fPIE -fvisibility=hidden -fstack-protector-strong -ffunction-sections -fdata-sections
>)
target_link_libraries(spicebox_flags INTERFACE Threads::Threads)
target_link_options(spicebox_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now)

if(SPICEBOX_WERROR)
	target_compile_options(spicebox_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()

if(SPICEBOX_SANITIZE)
	set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
	if(SPICEBOX_FUZZ)
		list(APPEND sanitize -fsanitize=fuzzer-no-link)
	endif()
	target_compile_options(spicebox_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:${sanitize}>)
	target_link_options(spicebox_flags INTERFACE ${sanitize})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL Debug)
	target_compile_options(spicebox_flags INTERFACE
		$<$<COMPILE_LANGUAGE:C>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
endif()
