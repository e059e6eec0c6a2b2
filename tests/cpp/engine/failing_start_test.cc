// An interpreter that cannot start says why, in a process of its own.
#include <dlfcn.h>

#include <string>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy::testing {
namespace {

TEST(FailingStartTest, PythonWithoutTorchIsAnErrorWithTypeAndTraceback) {
  void* const library = dlopen(ENGINE_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  ASSERT_NE(library, nullptr);
  const auto get_api =
      reinterpret_cast<decltype(&td_engine_get_api)>(dlsym(library, "td_engine_get_api"));
  td_engine_api api{};
  api.abi_major = TD_ABI_MAJOR;
  api.size = sizeof api;
  ASSERT_EQ(get_api(&api), TD_OK);

  td_options options{};
  options.size = sizeof options;
  options.intra_op_threads = 1;
  options.python = "/no/such/python";
  td_engine* engine = nullptr;
  td_error error{};
  EXPECT_EQ(api.create(&options, &engine, &error), TD_UNKNOWN);
  EXPECT_EQ(std::string(error.type), "ModuleNotFoundError");
  EXPECT_EQ(std::string(error.message), "No module named 'torch'");
  EXPECT_NE(std::string(error.traceback).find("Traceback (most recent call last)"),
            std::string::npos)
      << error.traceback;
  EXPECT_EQ(engine, nullptr);
  api.free_error(&error);
}

}  // namespace
}  // namespace torchdeploy::testing
