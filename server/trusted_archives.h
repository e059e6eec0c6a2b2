// Which archives may be loaded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "torchdeploy/status.h"

#include <openssl/types.h>

namespace torchdeploy::server {

// By what they hold, or by who has signed them. Immutable; thread-safe.
class TrustedArchives {
 public:
  // `hashes`: a file as sha256sum(1) writes it; the names in it do not matter. `keys`: a file of
  // ed25519 public keys in PEM. Each may be empty, for none. kInvalidArgument, naming the file and
  // the line, for what is none of these; kPermissionDenied for a file that cannot be read.
  static Result<TrustedArchives> Read(const std::string& hashes, const std::string& keys);

  // Whether the hash of `bytes` is among those, or the file `path` + ".sig" is their signature, 64
  // bytes, by one of the keys. kPermissionDenied, naming the hash and what was missing;
  // kInternal when there is no hash of them.
  [[nodiscard]] Status Check(const std::string& path, std::span<const std::byte> bytes) const;

 private:
  using Hash = std::array<uint8_t, 32>;

  Status ReadHashes(const std::string& file);
  Status ReadKeys(const std::string& file);
  [[nodiscard]] bool IsSigned(const std::string& signature, std::span<const std::byte> bytes) const;

  std::string hashes_file_;
  std::set<Hash> hashes_;
  std::vector<std::shared_ptr<EVP_PKEY>> keys_;
};

}  // namespace torchdeploy::server
