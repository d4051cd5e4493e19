#include "data/images/image_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::image_files_test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class ImageFiles : public testing::Test {
 protected:
  void touch(const std::string& name, const std::string& text = "") {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::vector<std::string> ids(const std::string& path, Purpose purpose = Purpose::training) {
    std::vector<std::string> all;
    for (const auto& file : list_image_files(root_ / path, purpose).files) {
      EXPECT_TRUE(fs::exists(file.path)) << file.path;
      all.push_back(file.id + (file.label.empty() ? "" : "=" + file.label));
    }
    return all;
  }
  std::string error(const std::string& path) {
    return test::error_of<InputError>([&] { list_image_files(root_ / path, Purpose::training); });
  }
  const test::TemporaryFolder temporary_;
  const fs::path& root_ = temporary_.path();
};

TEST_F(ImageFiles, AFolderGivesItsVisibleImagesInByteOrder) {
  for (const char* name : {"b/1.png", "b/10.PNG", "b/2.jpg", "B.tiff", "a.bmp", "notes.txt", ".hidden.png",
                           ".git/x.png", "a/z.jpeg", "a.png/c.tif"}) {
    touch(name);
  }
  EXPECT_THAT(ids(""), ElementsAre("B.tiff", "a.bmp", "a.png/c.tif", "a/z.jpeg", "b/1.png", "b/10.PNG", "b/2.jpg"));
}

TEST_F(ImageFiles, AnMvtecRootTrainsOnGoodAndScoresTest) {
  for (const char* name : {"train/good/0.png", "train/good/1.png", "train/other/5.png", "test/good/0.png",
                           "test/scratch/0.png", "test/loose.png", "ground_truth/scratch/0_mask.png"}) {
    touch(name);
  }
  EXPECT_THAT(ids(""), ElementsAre("train/good/0.png=good", "train/good/1.png=good"));
  EXPECT_THAT(ids("", Purpose::scoring),
              ElementsAre("test/good/0.png=good", "test/loose.png", "test/scratch/0.png=scratch"));
  EXPECT_THAT(ids("test", Purpose::scoring), ElementsAre("good/0.png=good", "loose.png", "scratch/0.png=scratch"));
  EXPECT_THAT(ids("test/", Purpose::scoring), ElementsAre("good/0.png=good", "loose.png", "scratch/0.png=scratch"));
}

TEST_F(ImageFiles, PatternsMatchWithinAndAcrossFolders) {
  for (const char* name : {"a/x1.png", "a/x2.png", "a/y1.png", "b/x1.png", "b/c/x1.png"}) touch(name);
  EXPECT_THAT(ids("a/x?.png"), ElementsAre("x1.png", "x2.png"));
  EXPECT_THAT(ids("*/x1.png"), ElementsAre("a/x1.png", "b/x1.png"));
  EXPECT_THAT(ids("**/x1.png"), ElementsAre("a/x1.png", "b/c/x1.png", "b/x1.png"));
  EXPECT_THAT(error("*/q*"), HasSubstr("no image matches"));
  EXPECT_THAT(error("nowhere/*.png"), HasSubstr("there is no folder"));
}

TEST_F(ImageFiles, AListIsRelativeToItself) {
  touch("lists/good.txt", "\xEF\xBB\xBF# good ones\n../b.png\r\n\n  \na.png  \n");
  touch("lists/a.png");
  touch("b.png");
  EXPECT_THAT(ids("lists/good.txt"), ElementsAre("../b.png", "a.png"));
  touch("twice.txt", "a.png\nb.png\na.png\n");
  EXPECT_THAT(error("twice.txt"), HasSubstr("twice.txt:3: \"a.png\" is listed already in line 1"));
  touch("wrong.txt", "a.png\nb.csv\n");
  EXPECT_THAT(error("wrong.txt"), HasSubstr("wrong.txt:2: found \"b.csv\""));
  touch("empty.txt", "# nothing\n");
  EXPECT_THAT(error("empty.txt"), HasSubstr("names no image"));
}

TEST_F(ImageFiles, WhatIsNoImageIsNamed) {
  touch("one.png");
  EXPECT_THAT(ids("one.png"), ElementsAre("one.png"));
  touch("other.gif");
  EXPECT_THAT(error("other.gif"), HasSubstr("\".gif\""));
  EXPECT_THAT(error("missing"), HasSubstr("No such file"));
  touch("tables/a.csv");
  touch("tables/b.csv");
  touch("table.csv", "a,b\n1,2\n");
  EXPECT_THAT(error("table.csv"), testing::AllOf(HasSubstr("found a text table"), HasSubstr("/data/type \"table\"")));
  touch("photo.jpg_old", "\xff\xd8\xff");
  EXPECT_THAT(error("photo.jpg_old"), testing::AllOf(HasSubstr("a JPEG image"), HasSubstr("ends in .jpg")));
  touch("names", "a, b\n\n");
  EXPECT_THAT(error("names"), HasSubstr("found a file without extension"));
  touch("commas.txt", "a,b.png\nc,d.png\n");
  EXPECT_EQ(list_image_files(root_ / "commas.txt", Purpose::training).files.size(), 2u);
  EXPECT_THAT(error("tables"), HasSubstr("found 2 .csv"));
  fs::create_directories(root_ / "empty");
  EXPECT_THAT(error("empty"), HasSubstr("found no files"));
}

}  // namespace
}  // namespace ae::data::image_files_test
