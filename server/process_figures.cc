#include "server/process_figures.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include <sys/resource.h>

namespace torchdeploy::server {

namespace {

// What of /proc/self/stat is used. Source: proc(5), which numbers the fields from 1.
struct Stat {
  uint64_t user_ticks = 0;      // 14
  uint64_t system_ticks = 0;    // 15
  uint64_t threads = 0;         // 20
  uint64_t start_ticks = 0;     // 22, since the system's start
  uint64_t virtual_bytes = 0;   // 23
  uint64_t resident_pages = 0;  // 24
};

std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // The second field is the program's name in brackets, which may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return std::nullopt;
  }
  std::istringstream fields(line.substr(name_end + 1));
  const auto skip = [&fields](int count) {
    std::string passed_over;
    for (int i = 0; i < count; ++i) {
      fields >> passed_over;
    }
  };
  Stat stat;
  skip(11);
  fields >> stat.user_ticks >> stat.system_ticks;
  skip(4);
  fields >> stat.threads;
  skip(1);
  fields >> stat.start_ticks >> stat.virtual_bytes >> stat.resident_pages;
  return fields ? std::optional(stat) : std::nullopt;
}

// When the system started, in seconds since 1970; 0 when it is not known.
double BootSeconds() {
  std::ifstream file("/proc/stat");
  std::string key;
  double value = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    if (fields >> key && key == "btime" && fields >> value) {
      return value;
    }
  }
  return 0;
}

size_t CountOpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(files), end(files)));
}

}  // namespace

std::optional<ProcessFigures> ReadProcessFigures() {
  const std::optional<Stat> stat = ReadStat();
  if (!stat) {
    return std::nullopt;
  }
  const auto ticks_per_s = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  return ProcessFigures{
      .cpu_seconds = static_cast<double>(stat->user_ticks + stat->system_ticks) / ticks_per_s,
      .start_seconds = BootSeconds() + static_cast<double>(stat->start_ticks) / ticks_per_s,
      .resident_bytes = stat->resident_pages * page_bytes,
      .virtual_bytes = stat->virtual_bytes,
      .open_files = CountOpenFiles(),
      .most_open_files = files.rlim_cur,
      .threads = stat->threads};
}

}  // namespace torchdeploy::server
