#include "runtime/src/isolation/sharing_rules.h"

#include <string>

#include <gtest/gtest.h>

namespace torchdeploy {
namespace {

TEST(SharingRulesTest, TheCAndOpenMpRuntimesAreShared) {
  EXPECT_TRUE(IsShared("/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_TRUE(IsShared("/v/site-packages/torch/lib/libgomp.so.1"));
  EXPECT_TRUE(IsShared("/v/site-packages/scikit_learn.libs/libgomp-e985bcbb.so.1.0.0"));
  EXPECT_TRUE(IsShared("/v/site-packages/numpy.libs/libscipy_openblas64_-32a4b2a6.so"));
  EXPECT_TRUE(IsShared("/v/site-packages/nvidia/cudnn/lib/libcudnn.so.9"));
}

TEST(SharingRulesTest, WhatHoldsPythonOrTorchOrLittleKnownStateIsPrivate) {
  EXPECT_FALSE(IsShared("/usr/lib/libpython3.11.so.1.0"));
  EXPECT_FALSE(IsShared("/v/site-packages/torch/lib/libtorch_cpu.so"));
  EXPECT_FALSE(IsShared("/v/site-packages/torch/lib/libc10.so"));
  EXPECT_FALSE(IsShared("/v/site-packages/h5py.libs/libhdf5-346dda2d.so.310.5.1"));
  EXPECT_FALSE(IsShared("/v/lib/libcrypto.so.3"));
}

TEST(SharingRulesTest, TheStemIsTheNameUpToItsSuffix) {
  EXPECT_EQ(LibraryStem("/a/libpython3.11.so.1.0"), "libpython3.11");
  EXPECT_EQ(LibraryStem("libc10.so"), "libc10");
  EXPECT_EQ(LibraryStem("/a/_C.cpython-311-x86_64-linux-gnu.so"),
            "_C.cpython-311-x86_64-linux-gnu");
}

TEST(SharingRulesTest, ASecondTorchOrPythonIsRecognised) {
  EXPECT_TRUE(IsSingleton("libtorch_cpu"));
  EXPECT_TRUE(IsSingleton("libpython3.12"));
  EXPECT_FALSE(IsSingleton("libpython3")) << "the stable ABI's stub has no state";
  EXPECT_FALSE(IsSingleton("libtorchvision"));
}

}  // namespace
}  // namespace torchdeploy
