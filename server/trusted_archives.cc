#include "server/trusted_archives.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "server/hex.h"
#include "server/text_file.h"
#include "torchdeploy/status.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/types.h>

namespace torchdeploy::server {

namespace {

constexpr const char* kSignatureSuffix = ".sig";
constexpr size_t kSignatureBytes = 64;
constexpr std::string_view kBlockBegin = "-----BEGIN ";

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* Bytes(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

size_t CountOf(std::string_view part, std::string_view text) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

Status Invalid(const std::string& file, const std::string& what) {
  return {Code::kInvalidArgument, file + ": " + what};
}

}  // namespace

Result<TrustedArchives> TrustedArchives::Read(const std::string& hashes, const std::string& keys) {
  TrustedArchives trusted;
  Status status = hashes.empty() ? Status() : trusted.ReadHashes(hashes);
  if (status.ok() && !keys.empty()) {
    status = trusted.ReadKeys(keys);
  }
  return status.ok() ? Result(std::move(trusted)) : Result<TrustedArchives>(status);
}

Status TrustedArchives::ReadHashes(const std::string& file) {
  const Result<std::string> text = ReadTextFile(file);
  if (!text.ok()) {
    return text.status();
  }
  hashes_file_ = file;
  std::istringstream lines(*text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    // Behind the digits: a space, and how the file was read and its name.
    const std::string digits = line.substr(0, line.find_first_of(" \t\r"));
    Hash hash{};
    if (digits.empty() && line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    if (digits.size() != 2 * hash.size() || !ReadHex(digits, hash)) {
      return Invalid(file, "line " + std::to_string(number) +
                               " does not begin with a SHA-256 of 64 lower-case hexadecimal "
                               "digits");
    }
    hashes_.insert(hash);
  }
  return {};
}

Status TrustedArchives::ReadKeys(const std::string& file) {
  const Result<std::string> text = ReadTextFile(file);
  if (!text.ok()) {
    return text.status();
  }
  const Bio source(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())), BIO_free);
  while (EVP_PKEY* key = PEM_read_bio_PUBKEY(source.get(), nullptr, nullptr, nullptr)) {
    keys_.emplace_back(key, EVP_PKEY_free);
    if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
      return Invalid(file, "public key " + std::to_string(keys_.size()) + " is not of ed25519");
    }
  }
  ERR_clear_error();  // At the end of the text there is one, too.
  const size_t blocks = CountOf(kBlockBegin, *text);
  if (keys_.empty() || keys_.size() != blocks) {
    return Invalid(file, std::to_string(keys_.size()) + " public keys can be read, and there are " +
                             std::to_string(blocks) + " blocks of PEM");
  }
  return {};
}

Status TrustedArchives::Check(const std::string& path, std::span<const std::byte> bytes) const {
  Hash hash{};
  if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    ERR_clear_error();
    return {Code::kInternal, "The SHA-256 of the archive cannot be computed."};
  }
  if (hashes_.contains(hash)) {
    return {};
  }
  std::string why = "its SHA-256 is " + ToHex(hash);
  if (!hashes_file_.empty()) {
    why += ", which is not in '" + hashes_file_ + "'";
  }
  if (!keys_.empty()) {
    const std::string file = path + kSignatureSuffix;
    const Result<std::string> signature = ReadTextFile(file);
    if (signature.ok() && IsSigned(*signature, bytes)) {
      return {};
    }
    why += ", and ";
    why += signature.ok() ? "'" + file + "' is not its signature by a key that is trusted"
                          : "there is no signature '" + file + "'";
  }
  return {Code::kPermissionDenied, "The archive is not trusted: " + why + "."};
}

bool TrustedArchives::IsSigned(const std::string& signature,
                               std::span<const std::byte> bytes) const {
  if (signature.size() != kSignatureBytes) {
    return false;
  }
  const auto* const begin = reinterpret_cast<const unsigned char*>(signature.data());
  return std::any_of(keys_.begin(), keys_.end(), [&](const std::shared_ptr<EVP_PKEY>& key) {
    const DigestContext context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const bool is_signed =
        EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), begin, signature.size(), Bytes(bytes), bytes.size()) == 1;
    ERR_clear_error();
    return is_signed;
  });
}

}  // namespace torchdeploy::server
