# Code from .proto files, into build/<preset>/gen. Nothing generated is committed.

# protoc-c's message code of the foreign protos and of our options: what the plugin itself needs.
function(reel_proto_google target)
    set(system google/protobuf/descriptor google/protobuf/timestamp google/protobuf/wrappers)
    set(own google/api/http google/api/annotations reel/options)
    set(plugin tools/protoc-gen-reelmesh/plugin)
    set(gen ${CMAKE_BINARY_DIR}/gen)
    set(outputs)
    foreach(stem ${system} ${own} ${plugin})
        list(APPEND outputs ${gen}/${stem}.pb-c.c ${gen}/${stem}.pb-c.h)
    endforeach()
    list(TRANSFORM own PREPEND ${CMAKE_SOURCE_DIR}/proto/ OUTPUT_VARIABLE own_files)
    list(TRANSFORM own_files APPEND .proto)
    list(TRANSFORM system APPEND .proto OUTPUT_VARIABLE names)
    list(APPEND names google/api/http.proto google/api/annotations.proto reel/options.proto
         ${plugin}.proto)
    add_custom_command(
        OUTPUT ${outputs}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${gen}
        COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${gen}
                -I${CMAKE_SOURCE_DIR}/proto -I${CMAKE_SOURCE_DIR} ${names}
        DEPENDS ${own_files} ${CMAKE_SOURCE_DIR}/${plugin}.proto
        COMMENT "protoc-c: google, reel/options"
        VERBATIM)
    add_library(${target} STATIC ${outputs})
    target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

# reel_proto_messages(target [DIR dir] [OUT folder] file.proto...): adds the message code of `files`
# to `target`. DIR is where the files are (proto/), OUT where the code goes below gen (proto), so
# that the include reads "<OUT>/<name>.pb-c.h". Files of one DIR may import each other by name.
function(reel_proto_messages target)
    cmake_parse_arguments(arg "" "DIR;OUT" "" ${ARGN})
    _reel_proto_defaults()
    set(outputs)
    foreach(file ${arg_UNPARSED_ARGUMENTS})
        get_filename_component(stem ${file} NAME_WE)
        list(APPEND outputs ${gen}/${stem}.pb-c.c ${gen}/${stem}.pb-c.h)
    endforeach()
    list(GET arg_UNPARSED_ARGUMENTS 0 first)
    set(set ${gen}/${target}-${first})
    # Services are dropped first: protoc-c would generate code for them that nobody uses.
    add_custom_command(
        OUTPUT ${outputs}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${gen}
        COMMAND ${PROTOC} ${includes} --include_imports --include_source_info
                --descriptor_set_out=${set}.all ${arg_UNPARSED_ARGUMENTS}
        COMMAND protoc-gen-reelmesh --messages-only < ${set}.all > ${set}.messages
        COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${gen}
                --descriptor_set_in=${set}.messages ${arg_UNPARSED_ARGUMENTS}
        DEPENDS protoc-gen-reelmesh ${depends}
        COMMENT "protoc-c: ${arg_UNPARSED_ARGUMENTS}"
        VERBATIM)
    # protoc-c's style is not ours to fix.
    set_source_files_properties(${outputs} PROPERTIES COMPILE_OPTIONS -w)
    target_sources(${target} PRIVATE ${outputs})
    target_link_libraries(${target} PUBLIC reel_proto_google)
endfunction()

# reel_proto_services(target [DIR dir] [OUT folder] file.proto...): the message code and, for every
# file, <name>.reel.{h,c} with the tables and stubs of its services.
function(reel_proto_services target)
    cmake_parse_arguments(arg "" "DIR;OUT" "" ${ARGN})
    _reel_proto_defaults()
    set(outputs)
    foreach(file ${arg_UNPARSED_ARGUMENTS})
        get_filename_component(stem ${file} NAME_WE)
        list(APPEND outputs ${gen}/${stem}.reel.c ${gen}/${stem}.reel.h)
    endforeach()
    add_custom_command(
        OUTPUT ${outputs}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${gen}
        COMMAND ${PROTOC} --plugin=protoc-gen-reelmesh=$<TARGET_FILE:protoc-gen-reelmesh>
                --reelmesh_out=prefix=${arg_OUT}/:${gen} ${includes} ${arg_UNPARSED_ARGUMENTS}
        DEPENDS protoc-gen-reelmesh ${depends}
        COMMENT "protoc-gen-reelmesh: ${arg_UNPARSED_ARGUMENTS}"
        VERBATIM)
    target_sources(${target} PRIVATE ${outputs})
    reel_proto_messages(${target} DIR ${arg_DIR} OUT ${arg_OUT} ${arg_UNPARSED_ARGUMENTS})
endfunction()

macro(_reel_proto_defaults)
    if(NOT arg_DIR)
        set(arg_DIR ${CMAKE_SOURCE_DIR}/proto)
    endif()
    if(NOT arg_OUT)
        set(arg_OUT proto)
    endif()
    set(gen ${CMAKE_BINARY_DIR}/gen/${arg_OUT})
    set(includes -I${arg_DIR} -I${CMAKE_SOURCE_DIR}/proto)
    file(GLOB_RECURSE depends CONFIGURE_DEPENDS ${arg_DIR}/*.proto
         ${CMAKE_SOURCE_DIR}/proto/*.proto)
endmacro()
