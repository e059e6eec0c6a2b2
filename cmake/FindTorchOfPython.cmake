# Finds the torch that ${Python_EXECUTABLE} would import, without importing it.
#
# Sets TORCH_FOLDER and TORCH_VERSION, and defines
#   dlpack::dlpack   the DLPack header that this torch ships, alone in its folder
#   td_libtorch      torch's headers and C++ libraries, for the engines only
#   td_torch         the same with torch's Python binding, for the CPython engine only
execute_process(
  COMMAND ${Python_EXECUTABLE} -I -c  # -I: see through the isolation of pip's builds
    "import importlib.metadata as m, importlib.util as u, os; \
print(os.path.dirname(u.find_spec('torch').origin), m.version('torch'), sep=';')"
  OUTPUT_VARIABLE torch_found OUTPUT_STRIP_TRAILING_WHITESPACE
  RESULT_VARIABLE torch_missing ERROR_QUIET)
if(torch_missing)
  message(FATAL_ERROR "${Python_EXECUTABLE} has no torch: run `pip install torch==2.13.0` there.")
endif()
list(GET torch_found 0 TORCH_FOLDER)
list(GET torch_found 1 TORCH_VERSION)
if(NOT TORCH_VERSION MATCHES "^2\\.13\\.")
  message(FATAL_ERROR "torch 2.13 is needed, ${TORCH_FOLDER} is ${TORCH_VERSION}.")
endif()

configure_file(${TORCH_FOLDER}/include/ATen/dlpack.h
  ${PROJECT_BINARY_DIR}/include/dlpack/dlpack.h COPYONLY)
add_library(dlpack INTERFACE)
add_library(dlpack::dlpack ALIAS dlpack)
target_include_directories(dlpack SYSTEM INTERFACE
  $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)

add_library(td_libtorch INTERFACE)
target_include_directories(td_libtorch SYSTEM INTERFACE
  ${TORCH_FOLDER}/include ${TORCH_FOLDER}/include/torch/csrc/api/include)
target_link_libraries(td_libtorch INTERFACE
  ${TORCH_FOLDER}/lib/libtorch.so ${TORCH_FOLDER}/lib/libtorch_cpu.so ${TORCH_FOLDER}/lib/libc10.so)

add_library(td_torch INTERFACE)
target_link_libraries(td_torch INTERFACE ${TORCH_FOLDER}/lib/libtorch_python.so td_libtorch)
