// How much memory there is, by what the kernel says.
#include "runtime/src/available_memory.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "runtime/src/memory_file.h"
#include "torchdeploy/status.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

class AvailableMemoryTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder_.File(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  [[nodiscard]] uint64_t Available() const {
    return AvailableMemoryBytes(folder_.File("proc"), folder_.File("cgroup"));
  }

  const TemporaryFolder folder_;
};

TEST_F(AvailableMemoryTest, KernelThatTellsNothingGivesAll) {
  EXPECT_EQ(Available(), std::numeric_limits<uint64_t>::max());
}

TEST_F(AvailableMemoryTest, EstimateOfTheKernelIsTaken) {
  Write("proc/meminfo", "MemTotal:    100 kB\nMemFree:   3 kB\nMemAvailable:    40 kB\n");
  EXPECT_EQ(Available(), 40U << 10U);
}

TEST_F(AvailableMemoryTest, LimitOfAnyGroupAroundTheProcessHolds) {
  Write("proc/meminfo", "MemAvailable: 40 kB\n");
  Write("proc/self/cgroup", "1:cpu:/other\n0::/outer/inner\n");
  Write("cgroup/outer/inner/memory.max", "max\n");
  Write("cgroup/outer/inner/memory.current", "500\n");
  EXPECT_EQ(Available(), 40U << 10U);
  Write("cgroup/outer/memory.max", "1000\n");
  Write("cgroup/outer/memory.current", "900\n");
  EXPECT_EQ(Available(), 100U);
  Write("cgroup/outer/memory.stat", "anon 500\ninactive_file 300\n");
  EXPECT_EQ(Available(), 400U) << "what is kept of files can be given back";
  Write("cgroup/memory.max", "600\n");
  Write("cgroup/memory.current", "700\n");
  EXPECT_EQ(Available(), 0U);
}

TEST_F(AvailableMemoryTest, FileOfMoreMemoryThanThereIsIsRefused) {
  const Result<MemoryFile> file = MemoryFile::Create(uint64_t{1} << 60U, "big.pt");
  EXPECT_EQ(file.status().code(), Code::kResourceExhausted);
  EXPECT_EQ(file.status().message().find(
                "The archive 'big.pt' needs 1152921504606846976 bytes of memory; "),
            0U);
}

}  // namespace
}  // namespace torchdeploy
