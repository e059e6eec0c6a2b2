#include "runtime/src/isolation/sharing_rules.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace torchdeploy {

namespace {

// Stems of the C and C++ runtime, OpenMP, BLAS and Fortran, and the CUDA driver. A trailing
// '*' matches any rest, as auditwheel adds a hash to the name of a bundled library.
constexpr std::array<std::string_view, 26> kSharedStems = {"ld-linux-x86-64",
                                                           "ld-linux-aarch64",
                                                           "libc",
                                                           "libm",
                                                           "libdl",
                                                           "libpthread",
                                                           "librt",
                                                           "libutil",
                                                           "libresolv",
                                                           "libnsl",
                                                           "libstdc++",
                                                           "libgcc_s",
                                                           "libgcc_s-*",
                                                           "libatomic*",
                                                           "libgomp",
                                                           "libgomp-*",
                                                           "libopenblas*",
                                                           "libscipy_openblas*",
                                                           "libgfortran*",
                                                           "libquadmath*",
                                                           "libz",
                                                           "libexpat",
                                                           "libcuda",
                                                           "libnvidia-ml",
                                                           "linux-vdso",
                                                           "libjemalloc*"};

// Folders of the CUDA toolkit, as PyPI's nvidia-* packages and NVIDIA's installer lay it out.
constexpr std::array<std::string_view, 2> kSharedFolders = {"/site-packages/nvidia/",
                                                            "/cuda/lib64/"};

bool Matches(std::string_view stem, std::string_view pattern) {
  if (pattern.ends_with('*')) {
    return stem.starts_with(pattern.substr(0, pattern.size() - 1));
  }
  return stem == pattern;
}

}  // namespace

std::string LibraryStem(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const size_t suffix = name.find(".so");
  return suffix == std::string::npos ? name : name.substr(0, suffix);
}

bool IsShared(const std::string& path) {
  const std::string stem = LibraryStem(path);
  return std::any_of(kSharedStems.begin(), kSharedStems.end(),
                     [&](std::string_view pattern) { return Matches(stem, pattern); }) ||
         std::any_of(kSharedFolders.begin(), kSharedFolders.end(), [&](std::string_view folder) {
           return path.find(folder) != std::string::npos;
         });
}

bool IsSingleton(const std::string& stem) {
  return stem.starts_with("libpython3.") || stem == "libc10" || stem == "libc10_cuda" ||
         stem == "libtorch" || stem == "libtorch_cpu" || stem == "libtorch_cuda" ||
         stem == "libtorch_python";
}

}  // namespace torchdeploy
