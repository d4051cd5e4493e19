# Installs the development files of BUILD into WORK/prefix, builds this folder's project against them and runs it.
#   cmake -D BUILD=... -D WORK=... -D VERSION=... -D COMPILER=... -D FLAGS=... -D GENERATOR=...
#         -P consumer.cmake
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output)
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix" --component development)
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${WORK}/build" -G "${GENERATOR}" "-DCMAKE_PREFIX_PATH=${WORK}/prefix"
    "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_CXX_FLAGS=${FLAGS}")
run("${CMAKE_COMMAND}" --build "${WORK}/build")
run("${WORK}/build/consumer")
if(NOT output STREQUAL "aetools ${VERSION}\n")
  message(FATAL_ERROR "the consumer printed '${output}', expected 'aetools ${VERSION}'")
endif()
