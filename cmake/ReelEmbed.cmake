# Text files as C string constants in a generated header, so that a program carries its SQL and Lua.
#
# reel_embed(target HEADER svc-x/file.gen.h [PREAMBLE file] FILES file...): each file becomes
#   static const char embedded_<name>[] = "...";
# with the preamble's text before its own. reel_embed_migrations(target HEADER header): the files of
# migrations/ in order, as `static const struct reel_pg_migration migrations[]`.
# Run as a script (cmake -P) it writes the header.
if(CMAKE_SCRIPT_MODE_FILE)
    function(quote file ret)
        file(READ ${file} text)
        string(REPLACE "\\" "\\\\" text "${text}")
        string(REPLACE "\"" "\\\"" text "${text}")
        string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
        set(${ret} "    \"${text}\"\n" PARENT_SCOPE)
    endfunction()

    set(out "#pragma once\n\n")
    set(table "")
    set(preamble "")
    if(PREAMBLE)
        quote(${PREAMBLE} preamble)
    endif()
    foreach(file ${FILES})
        get_filename_component(name ${file} NAME_WE)
        quote(${file} text)
        string(APPEND out "static const char embedded_${name}[] =\n${preamble}${text};\n\n")
        string(APPEND table "    {\"${name}\", embedded_${name}},\n")
    endforeach()
    if(MIGRATIONS)
        string(REPLACE "#pragma once\n" "#pragma once\n\n#include \"libcommon/pg/pg.h\"\n" out
               "${out}")
        string(APPEND out
               "static const struct reel_pg_migration migrations[] = {\n${table}};\n")
    endif()
    file(WRITE ${OUT} "${out}")
    return()
endif()

set(REEL_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(reel_embed target)
    cmake_parse_arguments(arg "MIGRATIONS" "HEADER;PREAMBLE" "FILES" ${ARGN})
    set(out ${CMAKE_BINARY_DIR}/gen/${arg_HEADER})
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} "-DFILES=${arg_FILES}" "-DPREAMBLE=${arg_PREAMBLE}"
                -DMIGRATIONS=${arg_MIGRATIONS} -DOUT=${out} -P ${REEL_EMBED_SCRIPT}
        DEPENDS ${arg_FILES} ${arg_PREAMBLE} ${REEL_EMBED_SCRIPT}
        VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()

function(reel_embed_migrations target)
    cmake_parse_arguments(arg "" "HEADER" "" ${ARGN})
    file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/migrations/*.sql)
    reel_embed(${target} MIGRATIONS HEADER ${arg_HEADER} FILES ${files})
endfunction()
