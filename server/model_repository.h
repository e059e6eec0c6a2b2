// Where the archives of a server lie.
#pragma once

#include <string>
#include <vector>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

struct ArchiveLocation {
  std::string path;
  std::string version;  // Empty: the manifest's, else "1".
};

// What is to be known of a model before its archives are opened.
struct ModelFolder {
  std::string name;      // Empty: the manifest's, else the archive's without suffix.
  std::string settings;  // Its config.yaml; empty when it has none.
  std::vector<ArchiveLocation> versions;
};

// The models in a folder NAME/VERSION/*.pt or *.pt2, with one archive in each VERSION, which is a
// number, and a config.yaml beside the versions, if the user wants one. Hidden files are passed
// over.
//
// kPermissionDenied, naming the folder, when one cannot be read; kInvalidArgument, naming it, when
// it is laid out otherwise.

// In order of their names; they may be laid out wrongly.
Result<std::vector<std::string>> FindNames(const std::string& repository);

// kNotFound, naming what there is: the folder has no such entry. A name is only compared with these
// and is never a path.
Result<ModelFolder> FindModel(const std::string& repository, const std::string& name);

// Every model in `path`, or the one archive that it is. kNotFound: no such path.
Result<std::vector<ModelFolder>> FindModels(const std::string& path);

}  // namespace torchdeploy::server
