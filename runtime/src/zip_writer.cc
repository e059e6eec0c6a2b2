#include "runtime/src/zip_writer.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/src/zip_format.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr uint16_t kVersion = 45;      // The first that knows sizes in 64 bits.
constexpr uint16_t kDate = 0x21;       // The first one: January 1st 1980.
constexpr uint16_t kPadding = 0x4246;  // The extra field that torch pads by, "FB".
constexpr uint32_t kOneDisk = 1;
constexpr uint16_t kIn64BitsToo = 0xffff;  // In place of a count.

template <typename... Numbers>
std::string Fields(Numbers... numbers) {
  std::string text;
  const auto append = [&text](auto number) {
    for (size_t i = 0; i < sizeof number; ++i) {
      text += static_cast<char>(static_cast<uint64_t>(number) >> 8 * i & 0xffU);
    }
  };
  (append(numbers), ...);
  return text;
}

// Of the local header and of the directory's entry alike, from the version to the sizes.
std::string CommonFields(uint32_t crc) {
  constexpr uint16_t kFlags = 0;
  constexpr uint16_t kTime = 0;
  return Fields(kVersion, kFlags, zip::kStored, kTime, kDate, crc, zip::kIn64Bits, zip::kIn64Bits);
}

// An extra field that ends where `at`, where it begins, is at a multiple of the alignment.
std::string Padding(uint64_t at) {
  constexpr size_t kAlignment = ZipWriter::kAlignmentBytes;
  const uint64_t unpadded = (at + zip::kExtraBytes) % kAlignment;
  const auto length = static_cast<uint16_t>((kAlignment - unpadded) % kAlignment);
  return Fields(kPadding, length) + std::string(length, 'Z');
}

}  // namespace

Status ZipWriter::Append(const std::string& text) {
  return file_.Append(std::as_bytes(std::span(text)));
}

Status ZipWriter::BeginRecord(std::string_view name, uint64_t size_bytes, uint32_t crc) {
  constexpr uint16_t kNone = 0;
  constexpr uint32_t kNoAttributes = 0;
  const uint64_t offset = file_.size_bytes();
  const auto name_length = static_cast<uint16_t>(name.size());

  constexpr uint16_t kLocalSizes = 2 * sizeof(uint64_t);
  std::string extra = Fields(zip::kExtraOfSizes, kLocalSizes, size_bytes, size_bytes);
  extra += Padding(offset + zip::kLocalBytes + name.size() + extra.size());

  constexpr uint16_t kEntrySizes = 3 * sizeof(uint64_t);
  const std::string entry_extra =
      Fields(zip::kExtraOfSizes, kEntrySizes, size_bytes, size_bytes, offset);
  directory_ += Fields(zip::kEntrySignature, kVersion) + CommonFields(crc) +
                Fields(name_length, static_cast<uint16_t>(entry_extra.size()), kNone, kNone, kNone,
                       kNoAttributes, zip::kIn64Bits) +
                std::string(name) + entry_extra;
  ++count_;
  return Append(Fields(zip::kLocalSignature) + CommonFields(crc) +
                Fields(name_length, static_cast<uint16_t>(extra.size())) + std::string(name) +
                extra);
}

Status ZipWriter::Finish() {
  constexpr uint16_t kNoComment = 0;
  constexpr uint16_t kDisk = 0;
  constexpr uint32_t kDisk64 = 0;
  constexpr uint64_t kBytesBehind = zip::kEnd64Bytes - 12;
  const uint64_t offset = file_.size_bytes();
  const uint64_t size = directory_.size();
  directory_ += Fields(zip::kEnd64Signature, kBytesBehind, kVersion, kVersion, kDisk64, kDisk64,
                       count_, count_, size, offset);
  directory_ += Fields(zip::kLocatorSignature, kDisk64, offset + size, kOneDisk);
  directory_ += Fields(zip::kEndSignature, kDisk, kDisk, kIn64BitsToo, kIn64BitsToo, zip::kIn64Bits,
                       zip::kIn64Bits, kNoComment);
  return Append(directory_);
}

}  // namespace torchdeploy
