// Tests of where a server finds archives.
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
    const auto archives = FindArchives(root());
    ASSERT_FALSE(archives.ok());
    EXPECT_EQ(archives.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(archives.status().message(), HasSubstr(named));
    EXPECT_THAT(archives.status().message(), HasSubstr("NAME/VERSION/*.pt"));
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(ModelRepositoryTest, SettingsBesideTheVersionsAreThoseOfEachVersion) {
  MakeFile("a/1/model.pt");
  MakeFile("a/2/model.pt");
  MakeFile("b/1/model.pt");
  const std::string settings = MakeFile("a/config.yaml");
  const auto archives = FindArchives(root());
  ASSERT_TRUE(archives.ok()) << archives.status().ToString();
  ASSERT_EQ(archives->size(), 3U);
  EXPECT_EQ(archives->at(0).settings, settings);
  EXPECT_EQ(archives->at(1).settings, settings);
  EXPECT_EQ(archives->at(2).settings, "");
}

TEST_F(ModelRepositoryTest, SettingsWithoutAVersionAreNoModel) {
  MakeFile("a/config.yaml");
  ExpectInvalid("a has no versions");
}

TEST_F(ModelRepositoryTest, AFileIsOneArchiveWithoutNameAndVersion) {
  const std::string path = MakeFile("any.name");
  const auto archives = FindArchives(path);
  ASSERT_TRUE(archives.ok());
  ASSERT_EQ(archives->size(), 1);
  EXPECT_EQ(archives->front().path, path);
  EXPECT_EQ(archives->front().name, "");
  EXPECT_EQ(archives->front().version, "");
}

TEST_F(ModelRepositoryTest, FoldersNameModelAndVersion) {
  MakeFile("b/1/x.pt");
  MakeFile("a/2/y.pt");
  MakeFile("a/10/z.pt");
  const auto archives = FindArchives(root());
  ASSERT_TRUE(archives.ok()) << archives.status().ToString();
  std::vector<std::string> found;
  for (const ArchiveLocation& archive : *archives) {
    found.push_back(archive.name + " " + archive.version + " " + archive.path);
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
  const auto archives = FindArchives(root());
  ASSERT_TRUE(archives.ok()) << archives.status().ToString();
  EXPECT_EQ(archives->size(), 1);
}

TEST_F(ModelRepositoryTest, APathThatIsNotThereIsNotFound) {
  const auto archives = FindArchives(Path("missing"));
  ASSERT_FALSE(archives.ok());
  EXPECT_EQ(archives.status().code(), Code::kNotFound);
  EXPECT_THAT(archives.status().message(), HasSubstr(Path("missing")));
}

TEST_F(ModelRepositoryTest, AnEmptyFolderIsInvalid) {
  MakeFolder("");
  ExpectInvalid(root());
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
  const auto archives = FindArchives(root());
  std::filesystem::permissions(Path("a"), std::filesystem::perms::owner_all);
  ASSERT_FALSE(archives.ok());
  EXPECT_EQ(archives.status().code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace torchdeploy::server
