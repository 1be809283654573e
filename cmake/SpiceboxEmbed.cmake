# SPDX-License-Identifier: MIT
# spicebox_embed(TARGET SYMBOL FILE): adds FILE's bytes to TARGET as read-only data between the
# symbols embed_SYMBOL_start and embed_SYMBOL_end, both declared in C as
#     extern const unsigned char embed_SYMBOL_start[], embed_SYMBOL_end[];
function(spicebox_embed target symbol file)
	set(source ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.S)
	set(SYMBOL ${symbol})
	set(FILE ${file})
	configure_file(${CMAKE_SOURCE_DIR}/cmake/embed.S.in ${source} @ONLY)
	set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file})
	target_sources(${target} PRIVATE ${source})
endfunction()
