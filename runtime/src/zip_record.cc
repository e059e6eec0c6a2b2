#include "runtime/src/zip_record.h"

#include <zconf.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "runtime/src/archive_failure.h"
#include "runtime/src/zip_directory.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

constexpr size_t kPieceBytes = size_t{256} << 10U;
constexpr size_t kMostAtOnce = std::numeric_limits<uInt>::max();
constexpr int kDeflateWithoutHeader = -MAX_WBITS;

// zlib keeps a pointer to it.
class Inflating {
 public:
  Inflating() : ok_(inflateInit2(&stream_, kDeflateWithoutHeader) == Z_OK) {}
  Inflating(const Inflating&) = delete;
  Inflating& operator=(const Inflating&) = delete;
  ~Inflating() { inflateEnd(&stream_); }

  [[nodiscard]] bool ok() const { return ok_; }
  z_stream* operator->() { return &stream_; }
  z_stream* get() { return &stream_; }

 private:
  z_stream stream_{};
  const bool ok_;
};

// Hands bytes on and keeps their number and checksum.
class CheckedSink {
 public:
  CheckedSink(const ZipRecord& record, const std::string& path, const ByteSink& sink)
      : record_(record), path_(path), sink_(sink) {}

  Status Take(std::span<const std::byte> bytes) {
    if (bytes.size() > record_.size_bytes - size_bytes_) {
      return Damaged();
    }
    size_bytes_ += bytes.size();
    crc_ = crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    return sink_(bytes);
  }

  [[nodiscard]] Status Check() const {
    return size_bytes_ == record_.size_bytes && crc_ == record_.crc ? Status() : Damaged();
  }

  [[nodiscard]] Status Damaged() const {
    return ArchiveFailure(Code::kDataLoss, path_,
                          "has a damaged record " + Quoted(record_.name) + "; expected " +
                              std::to_string(record_.size_bytes) + " bytes with the CRC-32 " +
                              std::to_string(record_.crc));
  }

 private:
  const ZipRecord& record_;
  const std::string& path_;
  const ByteSink& sink_;
  uint64_t size_bytes_ = 0;
  uLong crc_ = 0;
};

Status Inflate(std::span<const std::byte> stored, CheckedSink& sink, const std::string& path) {
  Inflating stream;
  if (!stream.ok()) {
    return ArchiveFailure(Code::kResourceExhausted, path, "cannot be inflated: no memory");
  }
  std::vector<std::byte> piece(kPieceBytes);
  int result = Z_OK;
  while (result == Z_OK) {
    if (stream->avail_in == 0) {
      const auto next = stored.first(std::min(stored.size(), kMostAtOnce));
      // zlib does not write there.
      stream->next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(next.data()));
      stream->avail_in = static_cast<uInt>(next.size());
      stored = stored.subspan(next.size());
    }
    stream->next_out = reinterpret_cast<Bytef*>(piece.data());
    stream->avail_out = static_cast<uInt>(piece.size());
    result = inflate(stream.get(), Z_NO_FLUSH);
    if (Status status = sink.Take(std::span(piece).first(piece.size() - stream->avail_out));
        !status.ok()) {
      return status;
    }
  }
  const bool is_all = result == Z_STREAM_END && stored.empty() && stream->avail_in == 0;
  return is_all ? Status() : sink.Damaged();
}

}  // namespace

Status ReadZipRecord(const ZipRecord& record, const std::string& path, const ByteSink& sink) {
  CheckedSink checked(record, path, sink);
  Status status =
      record.is_deflated ? Inflate(record.stored, checked, path) : checked.Take(record.stored);
  return status.ok() ? checked.Check() : status;
}

}  // namespace torchdeploy
