# SPDX-License-Identifier: MIT
# spicebox_library(NAME SOURCES source... [LINK target...]): one folder, one static library. A
# folder without a source file yet becomes an interface library, so that the tree always
# configures.
function(spicebox_library name)
	cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
	if(arg_SOURCES)
		add_library(${name} STATIC ${arg_SOURCES})
		target_link_libraries(${name} PUBLIC spicebox_flags ${arg_LINK})
	else()
		add_library(${name} INTERFACE)
		target_link_libraries(${name} INTERFACE spicebox_flags ${arg_LINK})
	endif()
endfunction()
