# reel_library(name DEPS...): a static library of every .c file in the current folder.
function(reel_library name)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    if(NOT sources)
        add_library(${name} INTERFACE)
        target_link_libraries(${name} INTERFACE ${ARGN})
        return()
    endif()
    add_library(${name} STATIC ${sources})
    target_compile_options(${name} PRIVATE ${REEL_WARNINGS})
    target_link_libraries(${name} PUBLIC ${ARGN})
endfunction()

# reel_program(name SOURCES... LIBS DEPS...): an executable in build/<preset>/bin. A service's,
# reel-<service>, can be installed alone: cmake --install build/<preset> --component <service>.
function(reel_program name)
    cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
    add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
    target_compile_options(${name} PRIVATE ${REEL_WARNINGS})
    target_link_libraries(${name} PRIVATE ${arg_LIBS})
    if(name MATCHES "^reel-(gateway|user|video|job)$")
        install(TARGETS ${name} RUNTIME DESTINATION bin COMPONENT ${CMAKE_MATCH_1})
    endif()
endfunction()

# reel_tests(label DEPS...): every test_*.c of the current folder is a cmocka program and a ctest
# entry "<label>.<module>". A file that needs a server starts its own, on a free port. The program,
# build/<preset>/bin/<label>_test_<module>, runs a part of its tests with TEST_ONLY='<pattern>'.
function(reel_tests label)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c)
    foreach(source ${sources})
        get_filename_component(name ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" module ${name})
        string(REPLACE "/" "_" target "${label}_${name}")
        reel_program(${target} ${source} $<TARGET_OBJECTS:reel_test_only> LIBS ${ARGN} cmocka)
        add_test(NAME ${label}.${module} COMMAND ${target})
        set_tests_properties(${label}.${module} PROPERTIES LABELS ${label} TIMEOUT 120)
        if(REEL_SANITIZE STREQUAL "thread")
            set_tests_properties(${label}.${module} PROPERTIES ENVIRONMENT
                "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/lib/tsan.supp")
        endif()
    endforeach()
endfunction()

# reel_fuzzers(DEPS...): every fuzz_*.c of the current folder. Programs in the fuzz preset; elsewhere
# compiled, so that a change that breaks one shows in the first build.
function(reel_fuzzers)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_*.c)
    if(NOT REEL_FUZZ)
        add_library(fuzz_sources OBJECT ${sources})
        target_compile_options(fuzz_sources PRIVATE ${REEL_WARNINGS})
        target_link_libraries(fuzz_sources PRIVATE ${ARGN})
        return()
    endif()
    foreach(source ${sources})
        get_filename_component(name ${source} NAME_WE)
        reel_program(${name} ${source} LIBS ${ARGN})
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    endforeach()
endfunction()
