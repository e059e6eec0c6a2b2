# Defines torchdeploy::torch: the headers and libraries of the torch in TORCHDEPLOY_TORCH_FOLDER, as
# a C++ program links them. Without find_package(Torch), which asks for the CUDA toolkit when the
# wheel has CUDA.
if(NOT TARGET torchdeploy::torch)
  add_library(torchdeploy::torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(torchdeploy::torch SYSTEM INTERFACE
    ${TORCHDEPLOY_TORCH_FOLDER}/include
    ${TORCHDEPLOY_TORCH_FOLDER}/include/torch/csrc/api/include)
  # As torch 2.13's wheels are built.
  target_compile_definitions(torchdeploy::torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)
  target_link_libraries(torchdeploy::torch INTERFACE
    ${TORCHDEPLOY_TORCH_FOLDER}/lib/libtorch.so
    ${TORCHDEPLOY_TORCH_FOLDER}/lib/libtorch_cpu.so
    ${TORCHDEPLOY_TORCH_FOLDER}/lib/libc10.so)
endif()
