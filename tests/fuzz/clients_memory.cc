#include "tests/fuzz/clients_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>

#include "server/shared_memory_region.h"

#include "tests/fuzz/rule.h"
#include <sys/mman.h>

namespace torchdeploy::fuzz {

namespace {

constexpr size_t kRegionBytes = 256;
constexpr const char* kRegionName = "region";

}  // namespace

ClientsMemory::ClientsMemory() {
  const std::string key = "/torchdeploy_fuzz_" + std::to_string(getpid());
  const int file = shm_open(key.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  const bool is_made = file >= 0 && ftruncate(file, kRegionBytes) == 0 &&
                       regions_.Register(kRegionName, {key, 0, kRegionBytes}).ok();
  close(file);
  shm_unlink(key.c_str());  // The region has it open.
  Require(is_made, "there is shared memory");
}

std::string ClientsMemory::Contents() const {
  std::string contents(kRegionBytes, '\0');
  const auto region = regions_.All().at(kRegionName);
  Require(region->Read(0, std::as_writable_bytes(std::span(contents))).ok(), "it can be read");
  return contents;
}

void ClientsMemory::Fill() const {
  std::string contents(kRegionBytes, '\0');
  for (size_t i = 0; i < kRegionBytes; i += 5) {
    contents[i] = 1;
  }
  const auto region = regions_.All().at(kRegionName);
  Require(region->Write(0, std::as_bytes(std::span(contents))).ok(), "it can be written");
}

}  // namespace torchdeploy::fuzz
