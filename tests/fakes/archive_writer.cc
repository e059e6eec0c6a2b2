#include "tests/fakes/archive_writer.h"

#include <zip.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace torchdeploy::fakes {

namespace {

[[noreturn]] void Abort(const std::string& path) {
  std::fprintf(stderr, "cannot write the archive %s\n", path.c_str());
  std::abort();
}

}  // namespace

void WriteArchive(const std::string& path, std::optional<std::string_view> manifest) {
  std::map<std::string, std::string> records = {
      {"archive/.data/version", "6\n"},
      {"archive/.data/extern_modules", "torch\n"},
      {"archive/.data/python_version", "3.11.7"},
      {"archive/byteorder", "little"},
      {"archive/model/model.pkl", "the fake engine does not read this"},
  };
  if (manifest.has_value()) {
    records.emplace("archive/torchdeploy/manifest.json", *manifest);
  }
  WriteZip(path, records);
}

void WriteZip(const std::string& path, const std::map<std::string, std::string>& records) {
  int code = 0;
  zip_t* const archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (archive == nullptr) {
    Abort(path);
  }
  for (const auto& [name, data] : records) {
    zip_source_t* const source = zip_source_buffer(archive, data.data(), data.size(), 0);
    const int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0 ||
        zip_set_file_compression(archive, static_cast<uint64_t>(index), ZIP_CM_STORE, 0) != 0) {
      Abort(path);
    }
  }
  if (zip_close(archive) != 0) {
    Abort(path);
  }
}

}  // namespace torchdeploy::fakes
