// Where the archives of a server lie.
#pragma once

#include <string>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

// An archive that is to be served. Empty name or version: the manifest's, else the file's
// name without suffix and "1".
struct ArchiveLocation {
  std::string path;
  std::string name;
  std::string version;
};

// What `path` holds: one archive, or a folder NAME/VERSION/*.pt with one archive in each
// VERSION, which is a number. Hidden files are passed over.
//
// kNotFound: no such path. kInvalidArgument, naming the folder, when it is laid out otherwise
// or empty.
Result<std::vector<ArchiveLocation>> FindArchives(const std::string& path);

}  // namespace torchdeploy::server
