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
  std::string settings;  // The model's config.yaml; empty when it has none.
};

// What `path` holds: one archive, or a folder NAME/VERSION/*.pt with one archive in each
// VERSION, which is a number, and a config.yaml beside the versions, if the user wants one.
// Hidden files are passed over.
//
// kNotFound: no such path. kInvalidArgument, naming the folder, when it is laid out otherwise
// or empty.
Result<std::vector<ArchiveLocation>> FindArchives(const std::string& path);

}  // namespace torchdeploy::server
