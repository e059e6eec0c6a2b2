// Tests of where a server finds models.
#include "server/model_repository.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy::server {
namespace {

using testing::HasSubstr;

class ModelRepositoryTest : public testing::Test {
 protected:
  // Makes a file, with the folders above it, and returns its path.
  std::string MakeFile(const std::string& name) {
    const std::string path = Path(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << "archive";
    return path;
  }
  void MakeFolder(const std::string& name) { std::filesystem::create_directories(Path(name)); }

  [[nodiscard]] std::string Path(const std::string& name) const {
    return folder_.File("root/" + name);
  }
  [[nodiscard]] std::string root() const { return folder_.File("root"); }

  void ExpectInvalid(const std::string& named) {
    const auto models = FindModels(root());
    ASSERT_FALSE(models.ok());
    EXPECT_EQ(models.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(models.status().message(), HasSubstr(named));
    EXPECT_THAT(models.status().message(), HasSubstr("NAME/VERSION/*.pt"));
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(ModelRepositoryTest, SettingsBesideTheVersionsAreThoseOfTheModel) {
  MakeFile("a/1/model.pt");
  MakeFile("a/2/model.pt");
  MakeFile("b/1/model.pt");
  const std::string settings = MakeFile("a/config.yaml");
  const auto models = FindModels(root());
  ASSERT_TRUE(models.ok()) << models.status().ToString();
  ASSERT_EQ(models->size(), 2U);
  EXPECT_EQ(models->at(0).settings, settings);
  EXPECT_EQ(models->at(1).settings, "");
}

TEST_F(ModelRepositoryTest, SettingsWithoutAVersionAreNoModel) {
  MakeFile("a/config.yaml");
  ExpectInvalid("a has no versions");
}

TEST_F(ModelRepositoryTest, AFileIsOneArchiveWithoutNameAndVersion) {
  const std::string path = MakeFile("any.name");
  const auto models = FindModels(path);
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 1);
  EXPECT_EQ(models->front().name, "");
  EXPECT_EQ(models->front().versions.front().path, path);
  EXPECT_EQ(models->front().versions.front().version, "");
}

TEST_F(ModelRepositoryTest, FoldersNameModelAndVersion) {
  MakeFile("b/1/x.pt");
  MakeFile("a/2/y.pt");
  MakeFile("a/10/z.pt");
  const auto models = FindModels(root());
  ASSERT_TRUE(models.ok()) << models.status().ToString();
  std::vector<std::string> found;
  for (const ModelFolder& model : *models) {
    for (const ArchiveLocation& archive : model.versions) {
      found.push_back(model.name + " " + archive.version + " " + archive.path);
    }
  }
  EXPECT_THAT(found,
              testing::UnorderedElementsAre("b 1 " + Path("b/1/x.pt"), "a 2 " + Path("a/2/y.pt"),
                                            "a 10 " + Path("a/10/z.pt")));
}

TEST_F(ModelRepositoryTest, HiddenFilesAndOtherFilesBesideAnArchiveArePassedOver) {
  MakeFile("a/1/x.pt");
  MakeFile("a/1/notes.txt");
  MakeFile("a/1/.y.pt");
  MakeFile("a/.git/config");
  MakeFile(".cache/1/z.pt");
  const auto models = FindModels(root());
  ASSERT_TRUE(models.ok()) << models.status().ToString();
  EXPECT_EQ(models->size(), 1);
}

TEST_F(ModelRepositoryTest, APathThatIsNotThereIsNotFound) {
  const auto models = FindModels(Path("missing"));
  ASSERT_FALSE(models.ok());
  EXPECT_EQ(models.status().code(), Code::kNotFound);
  EXPECT_THAT(models.status().message(), HasSubstr(Path("missing")));
}

TEST_F(ModelRepositoryTest, ANameIsComparedAndNeverAPath) {
  MakeFile("a/1/x.pt");
  MakeFile("../outside/1/x.pt");
  for (const char* name : {"../outside", "a/../a", "./a", "a/", "", "..", "."}) {
    const auto model = FindModel(root(), name);
    ASSERT_FALSE(model.ok()) << name;
    EXPECT_EQ(model.status().code(), Code::kNotFound) << name;
    EXPECT_THAT(model.status().message(), HasSubstr("it has: a")) << name;
  }
  EXPECT_TRUE(FindModel(root(), "a").ok());
}

TEST_F(ModelRepositoryTest, AFileBesideModelsIsInvalid) {
  MakeFile("a/1/x.pt");
  MakeFile("stray.pt");
  ExpectInvalid(Path("stray.pt"));
}

TEST_F(ModelRepositoryTest, AModelWithoutVersionsIsInvalid) {
  MakeFolder("a");
  ExpectInvalid(Path("a"));
}

TEST_F(ModelRepositoryTest, AVersionThatIsNoNumberIsInvalid) {
  MakeFile("a/v1/x.pt");
  ExpectInvalid(Path("a/v1"));
}

TEST_F(ModelRepositoryTest, AFileInPlaceOfAVersionIsInvalid) {
  MakeFile("a/1");
  ExpectInvalid(Path("a/1"));
}

TEST_F(ModelRepositoryTest, AVersionHoldsExactlyOneArchive) {
  MakeFile("a/1/notes.txt");
  ExpectInvalid(Path("a/1") + " holds 0 files");
  MakeFile("a/1/x.pt");
  MakeFile("a/1/y.pt");
  ExpectInvalid(Path("a/1") + " holds 2 files");
}

TEST_F(ModelRepositoryTest, AFolderThatCannotBeReadIsPermissionDenied) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root may read every folder";
  }
  MakeFile("a/1/x.pt");
  std::filesystem::permissions(Path("a"), std::filesystem::perms::none);
  const auto models = FindModels(root());
  std::filesystem::permissions(Path("a"), std::filesystem::perms::owner_all);
  ASSERT_FALSE(models.ok());
  EXPECT_EQ(models.status().code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace torchdeploy::server
