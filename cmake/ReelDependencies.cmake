# Every library we link, with the oldest version that was tried. docs/dependencies.md says why each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# libmicrohttpd 1.0 or newer: Debian 13 packages it; on Debian 12 scripts/setup.sh builds it here.
set(ENV{PKG_CONFIG_PATH} "${CMAKE_SOURCE_DIR}/build/deps/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")

function(reel_dependency name)
    pkg_check_modules(${name} IMPORTED_TARGET ${ARGN})
    if(NOT ${name}_FOUND)
        list(JOIN ARGN ", " wanted)
        message(FATAL_ERROR "missing: ${wanted}. Run scripts/setup.sh, which installs it.")
    endif()
endfunction()

reel_dependency(PROTOBUF_C libprotobuf-c>=1.4.1)
reel_dependency(JANSSON jansson>=2.14)
reel_dependency(LIBPQ libpq>=15)
reel_dependency(HIREDIS hiredis>=0.14)
reel_dependency(LIBJWT libjwt>=1.10)
reel_dependency(CRYPTO libcrypto>=3.0)
reel_dependency(ARGON2 libargon2)
reel_dependency(SECCOMP libseccomp>=2.5)
reel_dependency(LIBAV libavformat>=59 libavcodec>=59 libavfilter>=8 libavutil>=57 libswscale
                libswresample)
reel_dependency(MICROHTTPD libmicrohttpd>=1.0)

# NNG ships a CMake package and no pkg-config file.
find_package(nng 1.5.2 REQUIRED)
find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_GEN_C protoc-gen-c REQUIRED)
