// Where the fields of a zip file stand.
//
// Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16 and 4.5.3. All numbers are
// little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace torchdeploy::zip {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr size_t kLocalBytes = 30;  // The name and the extra fields follow.
constexpr size_t kLocalFlagsAt = 6;
constexpr size_t kLocalMethodAt = 8;
constexpr size_t kLocalNameLengthAt = 26;
constexpr size_t kLocalExtraLengthAt = 28;

constexpr uint32_t kDescriptorSignature = 0x08074b50;

constexpr uint32_t kEntrySignature = 0x02014b50;
constexpr size_t kEntryBytes = 46;  // The name, the extra fields and the comment follow.
constexpr size_t kEntryFlagsAt = 8;
constexpr size_t kEntryMethodAt = 10;
constexpr size_t kEntryCrcAt = 16;
constexpr size_t kEntryStoredSizeAt = 20;
constexpr size_t kEntrySizeAt = 24;
constexpr size_t kEntryNameLengthAt = 28;
constexpr size_t kEntryExtraLengthAt = 30;
constexpr size_t kEntryCommentLengthAt = 32;
constexpr size_t kEntryAttributesAt = 38;
constexpr uint32_t kIsFolder = 0x10;  // An attribute, as MS-DOS has it.
constexpr size_t kEntryOffsetAt = 42;

constexpr uint32_t kEndSignature = 0x06054b50;
constexpr size_t kEndBytes = 22;  // The comment follows.
constexpr size_t kEndCountAt = 10;
constexpr size_t kEndDirectorySizeAt = 12;
constexpr size_t kEndDirectoryOffsetAt = 16;
constexpr size_t kEndCommentLengthAt = 20;

constexpr uint32_t kLocatorSignature = 0x07064b50;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kLocatorOffsetAt = 8;

constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kEnd64CountAt = 32;
constexpr size_t kEnd64DirectorySizeAt = 40;
constexpr size_t kEnd64DirectoryOffsetAt = 48;

constexpr size_t kExtraBytes = 4;           // Its id and its length; as many bytes follow.
constexpr uint16_t kExtraOfSizes = 1;       // Sizes and offset in 64 bits.
constexpr uint32_t kIn64Bits = 0xffffffff;  // In place of a size or an offset: it stands there.

constexpr uint16_t kIsEncrypted = 1U << 0U;  // Flags.
constexpr uint16_t kHasDescriptor = 1U << 3U;

constexpr uint16_t kStored = 0;  // Methods.
constexpr uint16_t kDeflated = 8;

}  // namespace torchdeploy::zip
