#include "runtime/src/isolation/private_libraries.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/src/isolation/library_cache.h"
#include "runtime/src/isolation/library_search.h"
#include "runtime/src/isolation/python_installation.h"

#include <sys/wait.h>

namespace torchdeploy {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string Libpython() {
  // The probe's answer is what counts here, whether or not the rest is installed.
  FILE* pipe =
      popen(TD_PYTHON
            " -c 'import sysconfig as s, os; print(os.path.join(s.get_config_var(\"LIBDIR\"),"
            " s.get_config_var(\"INSTSONAME\")))'",
            "r");
  char path[4096] = {};
  const bool is_read = fgets(path, sizeof path, pipe) != nullptr;
  pclose(pipe);
  std::string text = is_read ? path : "";
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

// Two sets of libraries, as two interpreters have them. Made once: nothing can be unloaded.
class PrivateLibrariesTest : public testing::Test {
 protected:
  // Whose code may close what it has opened.
  static constexpr uint32_t kClosing = 3;

  static PrivateLibraries& Of(uint32_t interpreter) {
    static const std::string kRoot =
        testing::TempDir() + "private_libraries_" + std::to_string(getpid());
    static const std::shared_ptr<const LibraryCache> kCache =
        *LibraryCache::Open(kRoot, TD_PYTHON, {});
    static const auto kSearch = std::make_shared<const LibrarySearch>(
        std::vector<std::string>{fs::path(TD_LIBTORCH).parent_path().string()});
    static std::map<uint32_t, std::unique_ptr<PrivateLibraries>> libraries;
    auto& entry = libraries[interpreter];
    if (entry == nullptr) {
      const Closing closing = interpreter == kClosing ? Closing::kOnRequest : Closing::kNever;
      entry = std::make_unique<PrivateLibraries>(interpreter, kCache, kSearch, closing);
      const Status status = entry->Start(Libpython(), TD_SHIM);
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
    return *entry;
  }

  template <typename Function>
  static Function* Symbol(uint32_t interpreter, const char* name) {
    const auto plugin = Of(interpreter).Open(TD_PLUGIN, RTLD_NOW, "");
    EXPECT_TRUE(plugin.ok()) << plugin.status().ToString();
    return plugin.ok() ? reinterpret_cast<Function*>(dlsym(*plugin, name)) : nullptr;
  }
};

TEST_F(PrivateLibrariesTest, EachInterpreterHasItsOwnStateBehindANeededLibrary) {
  auto* first = Symbol<int()>(1, "td_plugin_count");
  auto* second = Symbol<int()>(2, "td_plugin_count");
  ASSERT_NE(first, second);
  const int before = second();
  first();
  first();
  EXPECT_EQ(second(), before + 1);
}

TEST_F(PrivateLibrariesTest, OpeningALibraryTwiceGivesTheSameOne) {
  EXPECT_EQ(*Of(1).Open(TD_COUNTER, RTLD_NOW, ""), *Of(1).Open(TD_COUNTER, RTLD_NOW, ""));
}

TEST_F(PrivateLibrariesTest, ALibraryThatCodeInsideOpensIsTheInterpretersOwn) {
  auto* open = Symbol<void*(const char*)>(1, "td_plugin_open");
  EXPECT_EQ(open(TD_COUNTER), *Of(1).Open(TD_COUNTER, RTLD_NOW, ""));
  EXPECT_NE(open(TD_COUNTER), *Of(2).Open(TD_COUNTER, RTLD_NOW, ""));
}

TEST_F(PrivateLibrariesTest, AGlobalOpenDoesNotLeakSymbolsIntoTheProcess) {
  auto* open = Symbol<void*(const char*)>(1, "td_plugin_open");
  ASSERT_NE(open(TD_COUNTER), nullptr);
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "td_fixture_count"), nullptr);
}

TEST_F(PrivateLibrariesTest, AMissingLibraryIsSaidInTheDynamicLinkersWords) {
  auto* open = Symbol<void*(const char*)>(1, "td_plugin_open");
  auto* error = Symbol<const char*()>(1, "td_plugin_open_error");
  EXPECT_EQ(open("libno_such_thing.so"), nullptr);
  EXPECT_THAT(error(), HasSubstr("libno_such_thing.so: cannot open shared object file"));
}

TEST_F(PrivateLibrariesTest, TheFirstErrorOfAnInterpreterIsNotForgotten) {
  auto* error = Symbol<const char*()>(2, "td_plugin_missing_symbol_error");
  EXPECT_THAT(error(), HasSubstr("undefined symbol: td_no_such_symbol"));
}

TEST_F(PrivateLibrariesTest, ASecondLibtorchIsRefusedByName) {
  ASSERT_TRUE(Of(1).Open(TD_LIBTORCH, RTLD_NOW, "").ok());
  const std::string folder = testing::TempDir() + "other_torch_" + std::to_string(getpid());
  fs::create_directories(folder);
  const std::string other = folder + "/libc10.so";
  fs::copy_file(fs::path(TD_LIBTORCH).parent_path() / "libc10.so", other,
                fs::copy_options::overwrite_existing);
  const auto library = Of(1).Open(other.c_str(), RTLD_NOW, "");
  ASSERT_FALSE(library.ok());
  EXPECT_EQ(library.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(library.status().message(), HasSubstr(other));
  fs::remove_all(folder);
}

TEST_F(PrivateLibrariesTest, ALibraryOfAnotherInterpreterIsRefused) {
  const auto other = Of(2).Open(TD_COUNTER, RTLD_NOW, "");
  Dl_info info{};
  ASSERT_NE(dladdr(dlsym(*other, "td_fixture_count"), &info), 0);
  const auto library = Of(1).Open(info.dli_fname, RTLD_NOW, "");
  ASSERT_FALSE(library.ok());
  EXPECT_THAT(library.status().message(), HasSubstr("belongs to another interpreter"));
}

TEST_F(PrivateLibrariesTest, WritesToTheEnvironmentStayInside) {
  ASSERT_EQ(Symbol<int(const char*, const char*)>(1, "td_plugin_set")("TD_TEST_NAME", "inside"), 0);
  EXPECT_STREQ(Symbol<const char*(const char*)>(1, "td_plugin_get")("TD_TEST_NAME"), "inside");
  EXPECT_EQ(Symbol<const char*(const char*)>(2, "td_plugin_get")("TD_TEST_NAME"), nullptr);
  EXPECT_EQ(getenv("TD_TEST_NAME"), nullptr);
}

// What a library that interpreters share may do in its handler, as OpenBLAS does.
std::atomic<int> forking{0};
std::atomic<int> most_forking{0};

void BeginToFork() {
  const int now = forking.fetch_add(1) + 1;
  int most = most_forking.load();
  while (most < now && !most_forking.compare_exchange_weak(most, now)) {
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void EndFork() {
  forking.fetch_sub(1);
}

TEST_F(PrivateLibrariesTest, OneInterpreterForksAtATime) {
  auto* first = Symbol<int()>(1, "td_plugin_fork");
  auto* second = Symbol<int()>(2, "td_plugin_fork");
  ASSERT_EQ(pthread_atfork(BeginToFork, EndFork, nullptr), 0);
  const auto fork_often = [](int (*fork_inside)()) {
    for (int i = 0; i < 50; ++i) {
      const int child = fork_inside();
      if (child == 0) {
        _exit(fork_inside() < 0 ? 1 : 0);  // A child that is alone may fork as well.
      }
      int status = 1;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
  };
  std::thread other(fork_often, first);
  fork_often(second);
  other.join();
  EXPECT_EQ(most_forking.load(), 1);
}

TEST_F(PrivateLibrariesTest, StandardStreamsWorkInsideAlsoWhenTheProgramHasThemItself) {
  testing::internal::CaptureStderr();
  std::cerr << "outside, ";
  Symbol<void(const char*)>(1, "td_plugin_print")("inside");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "outside, inside");
}

TEST_F(PrivateLibrariesTest, MemoryFromInsideMayBeFreedOutside) {
  free(Symbol<void*()>(1, "td_plugin_allocate")());
}

// The mappings of this process whose lines have that in them.
std::vector<std::string> Mapped(const std::string& part) {
  std::ifstream maps("/proc/self/maps");
  std::vector<std::string> found;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(part) != std::string::npos) {
      found.push_back(line);
    }
  }
  return found;
}

// A library that nothing else opens.
std::string CopyOfCounter(const std::string& name) {
  const std::string path = testing::TempDir() + name + "_" + std::to_string(getpid()) + ".so";
  fs::copy_file(TD_COUNTER, path, fs::copy_options::overwrite_existing);
  return path;
}

TEST_F(PrivateLibrariesTest, WhatCodeClosesGoesWhereItMay) {
  const std::string path = CopyOfCounter("closed");
  void* const library = Symbol<void*(const char*)>(kClosing, "td_plugin_open")(path.c_str());
  ASSERT_NE(library, nullptr);
  EXPECT_THAT(Mapped("closed_"), Contains(HasSubstr("(deleted)"))) << "its copy has a file";
  auto* const count = reinterpret_cast<int (*)()>(dlsym(library, "td_fixture_count"));
  EXPECT_GT(count(), 0);
  Symbol<int(void*)>(kClosing, "td_plugin_close")(library);
  EXPECT_THAT(Mapped("closed_"), IsEmpty());
  EXPECT_NE(Symbol<void*(const char*)>(kClosing, "td_plugin_open")(path.c_str()), nullptr);
  fs::remove(path);
}

TEST_F(PrivateLibrariesTest, WhatCodeClosesStaysInAPython) {
  const std::string path = CopyOfCounter("kept");
  void* const library = Symbol<void*(const char*)>(1, "td_plugin_open")(path.c_str());
  ASSERT_NE(library, nullptr);
  Symbol<int(void*)>(1, "td_plugin_close")(library);
  EXPECT_THAT(Mapped("kept_"), Not(IsEmpty()));
  fs::remove(path);
}

TEST_F(PrivateLibrariesTest, CodeIsMappedFromTheOriginalFile) {
  ASSERT_TRUE(Of(1).Open(TD_LIBTORCH, RTLD_NOW, "").ok());
  EXPECT_THAT(Mapped(fs::canonical(TD_LIBTORCH).string()), Not(IsEmpty()));
}

}  // namespace
}  // namespace torchdeploy
