#include "data/images/layouts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "data/images/folders.hpp"
#include "data/images/mask_files.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::image_layouts_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ImageLayouts : public testing::Test {
 protected:
  void touch(const std::string& name, const std::string& text = "") {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  void touch(std::initializer_list<const char*> names) {
    for (const char* name : names) touch(std::string(name));
  }
  ImageListing list(const std::string& path, Purpose purpose, const std::vector<std::string>& normal = {}) {
    return list_image_files(root_ / path, purpose, normal);
  }
  // id=label:masks, the masks relative to the root
  std::vector<std::string> told(const ImageListing& listing) {
    std::vector<std::string> all;
    for (const auto& file : listing.files) {
      std::string text = file.id + (file.label.empty() ? "" : "=" + file.label);
      for (const auto& mask : file.masks) text += ":" + id_below(mask, root_);
      all.push_back(text);
    }
    return all;
  }
  std::vector<std::string> trained(const std::string& path, const std::vector<std::string>& normal = {}) {
    return told(list(path, Purpose::training, normal));
  }
  std::vector<std::string> scored(const std::string& path) { return told(list(path, Purpose::scoring)); }
  std::string refused(const std::string& path, Purpose purpose = Purpose::training) {
    const auto lines = test::errors_of<InputError>([&] { list(path, purpose); });
    EXPECT_EQ(lines.size(), 1u);
    return lines.empty() ? "no error" : lines.front();
  }
  std::string layout(const std::string& path) {
    const Layout* found = layout_of(root_ / path);
    return found == nullptr ? "none" : std::string(found->name);
  }
  const test::TemporaryFolder temporary_;
  const fs::path& root_ = temporary_.path();
};

TEST_F(ImageLayouts, MvtecAd) {
  touch({"train/good/0.png", "test/good/0.png", "test/cut/0.png", "test/cut/1.PNG", "ground_truth/cut/0_mask.png",
         "ground_truth/cut/1_MASK.bmp", "license.txt"});
  EXPECT_EQ(layout(""), "MVTec AD");
  EXPECT_THAT(trained(""), ElementsAre("train/good/0.png=good"));
  EXPECT_THAT(scored(""), ElementsAre("test/cut/0.png=cut:ground_truth/cut/0_mask.png",
                                      "test/cut/1.PNG=cut:ground_truth/cut/1_MASK.bmp", "test/good/0.png=good"));
  EXPECT_THAT(scored("test/"), ElementsAre("cut/0.png=cut:ground_truth/cut/0_mask.png",
                                           "cut/1.PNG=cut:ground_truth/cut/1_MASK.bmp", "good/0.png=good"));
  EXPECT_THAT(trained("test"), ElementsAre("good/0.png=good"));
  EXPECT_THAT(list("", Purpose::training).notes.lines, ElementsAre(HasSubstr("MVTec AD; trained on train/good")));
}

TEST_F(ImageLayouts, Btad) {
  touch({"train/ok/0000.bmp", "test/ok/0001.bmp", "test/ko/0000.bmp", "test/ko/0001.bmp", "ground_truth/ko/0000.png",
         "ground_truth/ko/0001.bmp"});
  EXPECT_EQ(layout(""), "BTAD");
  EXPECT_THAT(trained(""), ElementsAre("train/ok/0000.bmp=ok"));
  EXPECT_THAT(scored(""), ElementsAre("test/ko/0000.bmp=ko:ground_truth/ko/0000.png",
                                      "test/ko/0001.bmp=ko:ground_truth/ko/0001.bmp", "test/ok/0001.bmp=ok"));
}

TEST_F(ImageLayouts, ADataSetIsNamedInWhateverCaseItsFoldersAre) {
  touch({"btad/train/OK/0000.bmp", "btad/test/OK/0001.bmp", "btad/test/KO/0000.bmp", "btad/ground_truth/KO/0000.png"});
  EXPECT_EQ(layout("btad"), "BTAD");
  EXPECT_THAT(list("btad", Purpose::training).notes.lines, ElementsAre(HasSubstr("BTAD; trained on train/OK")));
  EXPECT_THAT(scored("btad"), ElementsAre("test/KO/0000.bmp=KO:btad/ground_truth/KO/0000.png", "test/OK/0001.bmp=OK"));
  touch({"mvtec/Train/Good/0.png", "mvtec/Test/Good/0.png", "mvtec/Test/Cut/0.png"});
  EXPECT_EQ(layout("mvtec"), "MVTec AD");
  touch({"loco/train/Good/0.png", "loco/test/Logical_Anomalies/0.png"});
  EXPECT_EQ(layout("loco"), "MVTec LOCO");
  touch({"second/train/Good/0.png", "second/Test_Public/good/0.png"});
  EXPECT_EQ(layout("second"), "MVTec AD 2");
}

TEST_F(ImageLayouts, TrainingOnTheTestPartTellsWhatIsTakenAndWhatToGive) {
  touch({"caps/train/good/0.png", "caps/test/good/1.png", "caps/test/cut/2.png"});
  EXPECT_THAT(trained("caps/test"), ElementsAre("good/1.png=good"));
  for (const char* given : {"caps/test", "caps/test/"}) {
    EXPECT_THAT(
        list(given, Purpose::training).notes.lines,
        ElementsAre((root_ / given).string() + ": trained on good alone, of images to test with; those to train " +
                    "on are in train: give \"" + (root_ / "caps").string() + "\""));
  }
  EXPECT_THAT(list("caps/test", Purpose::training, {"cut"}).notes.lines,
              ElementsAre(HasSubstr(": trained on cut alone, of images to test with")));
  EXPECT_THAT(list("caps/test", Purpose::scoring).notes.lines, IsEmpty());
  EXPECT_THAT(list("caps/train", Purpose::training).notes.lines, IsEmpty());
}

TEST_F(ImageLayouts, MasksOfNoImageAreCountedAndNamed) {
  touch({"caps/train/good/0.png", "caps/test/good/0.png", "caps/test/cut/0.png", "caps/test/cut/1.PNG",
         "caps/ground_truth/cut/0_mask.png", "caps/ground_truth/cut/0_mask.npy", "caps/ground_truth/cut/1_Mask.png",
         "caps/ground_truth/good/0.png"});
  const auto left_over = [&](const std::string& path) { return list(path, Purpose::scoring).notes.masks_left_over; };
  EXPECT_EQ(left_over("caps"), "") << "an image may have several files";
  touch("caps/ground_truth/cut/7_mask.png");
  EXPECT_EQ(left_over("caps"), (root_ / "caps/ground_truth").string() +
                                   ": 1 mask belongs to none of the images: \"cut/7_mask.png\"; name them as their "
                                   "images are, or remove them");
  EXPECT_EQ(left_over("caps/test"), left_over("caps"));
  touch({"caps/ground_truth/cut/8_mask.png", "caps/ground_truth/hole/0_mask.png"});
  EXPECT_THAT(left_over("caps"), HasSubstr(": 3 masks belong to none of the images: \"cut/7_mask.png\", "
                                           "\"cut/8_mask.png\" and 1 more; "));
  EXPECT_EQ(list("caps", Purpose::training).notes.masks_left_over, "");

  touch({"loco/train/good/0.png", "loco/test/logical_anomalies/0.png", "loco/ground_truth/logical_anomalies/0/000.png",
         "loco/ground_truth/logical_anomalies/1/000.png"});
  EXPECT_THAT(left_over("loco"), HasSubstr(": 1 mask belongs to none of the images: \"logical_anomalies/1/000.png\""));
  touch({"classes/OK/0.png", "classes/NG/0.png", "classes/masks/NG/0.png", "classes/masks/NG/1.png"});
  EXPECT_THAT(left_over("classes"), HasSubstr("\"NG/1.png\""));
  touch({"candle/Data/Images/Normal/0.JPG", "candle/Data/Images/Anomaly/0.JPG", "candle/Data/Masks/Anomaly/0.png",
         "candle/Data/Masks/Anomaly/1.png"});
  EXPECT_THAT(left_over("candle"), HasSubstr(": 1 mask belongs to none of the images: \"1.png\""));
}

TEST_F(ImageLayouts, MvtecLocoHasFoldersOfMasks) {
  touch({"train/good/0.png", "validation/good/0.png", "test/good/0.png", "test/logical_anomalies/0.png",
         "test/structural_anomalies/0.png", "ground_truth/logical_anomalies/0/000.png",
         "ground_truth/logical_anomalies/0/001.png", "ground_truth/structural_anomalies/0/000.png"});
  EXPECT_EQ(layout(""), "MVTec LOCO");
  EXPECT_THAT(trained(""), ElementsAre("train/good/0.png=good"));
  EXPECT_THAT(
      scored(""),
      ElementsAre("test/good/0.png=good",
                  "test/logical_anomalies/0.png=logical_anomalies:ground_truth/logical_anomalies/0/000.png:"
                  "ground_truth/logical_anomalies/0/001.png",
                  "test/structural_anomalies/0.png=structural_anomalies:ground_truth/structural_anomalies/0/000.png"));
}

TEST_F(ImageLayouts, MvtecAd2) {
  touch({"train/good/0.png", "validation/good/0.png", "test_public/good/0.png", "test_public/bad/0.png",
         "test_public/ground_truth/bad/0_mask.png", "test_private/0.png"});
  EXPECT_EQ(layout(""), "MVTec AD 2");
  EXPECT_THAT(trained(""), ElementsAre("train/good/0.png=good"));
  EXPECT_THAT(scored(""), ElementsAre("test_public/bad/0.png=bad:test_public/ground_truth/bad/0_mask.png",
                                      "test_public/good/0.png=good"));
}

TEST_F(ImageLayouts, Visa) {
  touch({"candle/Data/Images/Normal/0.JPG", "candle/Data/Images/Normal/1.JPG", "candle/Data/Images/Anomaly/0.JPG",
         "candle/Data/Masks/Anomaly/0.png", "pcb1/Data/Images/Normal/0.JPG"});
  EXPECT_EQ(layout("candle"), "VisA");
  EXPECT_THAT(trained("candle"), ElementsAre("Data/Images/Normal/0.JPG=normal", "Data/Images/Normal/1.JPG=normal"));
  EXPECT_THAT(scored("candle"), ElementsAre("Data/Images/Anomaly/0.JPG=anomaly:candle/Data/Masks/Anomaly/0.png",
                                            "Data/Images/Normal/0.JPG=normal", "Data/Images/Normal/1.JPG=normal"));
  EXPECT_THAT(refused(""), AllOf(HasSubstr("holds 2 data sets"), HasSubstr("\"candle\", \"pcb1\"")));

  touch("split_csv/1cls.csv",
        "object,split,label,image,mask\r\n"
        "candle,train,normal,candle/Data/Images/Normal/0.JPG,\r\n"
        "candle,test,normal,candle/Data/Images/Normal/1.JPG,\r\n"
        "candle,test,anomaly,candle/Data/Images/Anomaly/0.JPG,candle/Data/Masks/Anomaly/0.png\r\n"
        "pcb1,train,normal,pcb1/Data/Images/Normal/0.JPG,\r\n"
        "away,train,normal,away/Data/Images/Normal/0.JPG,\r\n");
  EXPECT_EQ(layout(""), "VisA");
  EXPECT_THAT(trained(""),
              ElementsAre("candle/Data/Images/Normal/0.JPG=normal", "pcb1/Data/Images/Normal/0.JPG=normal"));
  EXPECT_THAT(trained("candle/"), ElementsAre("Data/Images/Normal/0.JPG=normal"));
  EXPECT_THAT(scored("candle"), ElementsAre("Data/Images/Anomaly/0.JPG=anomaly:candle/Data/Masks/Anomaly/0.png",
                                            "Data/Images/Normal/1.JPG=normal"));
}

TEST_F(ImageLayouts, AFolderForEachClass) {
  touch({"NG_front/0.png", "OK_front/0.png", "OK_front/deep/1.png", "mask/NG_front/0.tif"});
  EXPECT_EQ(layout(""), "a folder for each class");
  EXPECT_THAT(trained(""), ElementsAre("OK_front/0.png=OK_front", "OK_front/deep/1.png=OK_front"));
  EXPECT_THAT(scored(""), ElementsAre("NG_front/0.png=NG_front:mask/NG_front/0.tif", "OK_front/0.png=OK_front",
                                      "OK_front/deep/1.png=OK_front"));
  EXPECT_THAT(trained("", {"NG_front"}), ElementsAre("NG_front/0.png=NG_front"));
}

TEST_F(ImageLayouts, TrainAndTestWithAFolderForEachClass) {
  touch({"train/ok_front/0.png", "train/def_front/1.png", "test/ok_front/2.png", "test/def_front/3.png"});
  EXPECT_EQ(layout(""), "train and test");
  EXPECT_THAT(trained(""), ElementsAre("train/ok_front/0.png=ok_front"));
  EXPECT_THAT(scored(""), ElementsAre("test/def_front/3.png=def_front", "test/ok_front/2.png=ok_front"));
}

TEST_F(ImageLayouts, WhatMayBeDefectiveIsNotTrainedOn) {
  touch({"kinds/crazing/0.png", "kinds/inclusion/0.png", "mixed/0.png", "mixed/broken/1.png", "masked/0.png",
         "masked/ground_truth/0.png", "parts/train/0.png", "parts/test/1.png", "sets/a/train/good/0.png",
         "sets/a/test/cut/0.png", "sets/b/train/good/0.png", "numbered/camera_1/0.png", "numbered/camera_2/0.png"});
  EXPECT_THAT(refused("kinds"),
              AllOf(HasSubstr("\"crazing\", \"inclusion\""), HasSubstr("/data/normal"), HasSubstr("kinds/**\"")));
  EXPECT_THAT(refused("mixed"), AllOf(HasSubstr("holds images of defects, in \"broken\""), HasSubstr("good ones")));
  EXPECT_THAT(refused("masked"), HasSubstr("holds masks of defects, in \"ground_truth\""));
  EXPECT_THAT(refused("parts"), HasSubstr("\"test\", \"train\""));
  for (const auto purpose : {Purpose::training, Purpose::scoring}) {
    EXPECT_THAT(refused("sets", purpose), AllOf(HasSubstr("holds 2 data sets"), HasSubstr("\"a\", \"b\"")));
  }
  EXPECT_THAT(trained("numbered"), ElementsAre("camera_1/0.png", "camera_2/0.png"));
  EXPECT_THAT(trained("kinds/**"), ElementsAre("crazing/0.png", "inclusion/0.png"));
  EXPECT_THAT(trained("kinds", {"crazing"}), ElementsAre("crazing/0.png=crazing"));
  EXPECT_THAT(trained("parts/train"), ElementsAre("0.png"));
  EXPECT_THAT(scored("kinds"), ElementsAre("crazing/0.png", "inclusion/0.png"));
  EXPECT_THAT(scored("mixed"), ElementsAre("0.png", "broken/1.png"));
  EXPECT_THAT(scored("masked"), ElementsAre("0.png"));
  EXPECT_THAT(list("masked", Purpose::scoring).notes.lines,
              ElementsAre(HasSubstr("\"ground_truth\" is taken for masks")));
}

TEST_F(ImageLayouts, LinksAreFollowedOnceAndLoopsEnd) {
  touch({"store/a/0.png", "store/b/1.png", "set/own/2.png"});
  fs::create_directory_symlink(root_ / "store", root_ / "set/linked");
  fs::create_directory_symlink(root_ / "set", root_ / "store/a/back");      // a loop
  fs::create_directory_symlink(root_ / "set/own", root_ / "set/again");     // what is there already
  fs::create_symlink(root_ / "store/b/1.png", root_ / "set/own/file.png");  // a file
  fs::create_symlink(root_ / "nowhere.png", root_ / "set/own/broken.png");  // shows when it is read
  EXPECT_THAT(trained("set/**"),
              ElementsAre("linked/a/0.png", "linked/b/1.png", "own/2.png", "own/broken.png", "own/file.png"));
  touch("boards/test/good/0.png");
  fs::create_directories(root_ / "boards/train");
  fs::create_directory_symlink(root_ / "store/b", root_ / "boards/train/good");
  EXPECT_THAT(trained("boards"), ElementsAre("train/good/1.png=good"));
}

TEST_F(ImageLayouts, WhatIsNotLookedAtIsTold) {
  touch({"set/0.png", "set/Thumbs.db", "set/empty"});
  touch("set/a/movie.gif", std::string("GIF89a\0\0", 8));
  touch("set/raw.CR2", std::string("II*\0\1", 5));
  touch("set/drawing.svg", "<svg/>");
  touch("set/notes.md", "# Text\n");
  const auto notes = list("set", Purpose::training).notes;
  EXPECT_THAT(notes.unknown, ElementsAre("a/movie.gif", "drawing.svg", "raw.CR2"));
  EXPECT_THAT(notes.texts, ElementsAre("empty", "notes.md"));
}

TEST_F(ImageLayouts, NamesOfFoldersTellWhatTheyHold) {
  for (const char* name :
       {"good", "OK", "ok_front", "Normal", "no_defect", "defect-free", "MT_Free", "non defective"}) {
    EXPECT_EQ(meaning_of_folder(name), FolderMeaning::good) << name;
  }
  for (const char* name :
       {"bad", "KO", "NG", "def_front", "not_ok", "Anomaly", "logical_anomalies", "crack", "not good"}) {
    EXPECT_EQ(meaning_of_folder(name), FolderMeaning::defective) << name;
  }
  for (const char* name : {"ground_truth", "Masks", "gt"})
    EXPECT_EQ(meaning_of_folder(name), FolderMeaning::masks) << name;
  for (const char* name : {"", "goods", "train", "broke", "2024-01-02", "unmasked"}) {
    EXPECT_EQ(meaning_of_folder(name), FolderMeaning::unknown) << name;
  }
}

TEST_F(ImageLayouts, MasksAreFoundByNameInAnyCase) {
  touch({"a/0.png", "a/0_mask.npy", "a/1_Mask.TIFF", "a/2_GT.bmp", "a/3/x.png", "a/3/y.png", "4.jpeg", "a/5.txt"});
  const MaskFolder masks(root_);
  const auto found = [&](const std::string& name) {
    std::vector<std::string> all;
    for (const auto& path : masks.find(std::vector<std::string>{"no/such", name})) all.push_back(id_below(path, root_));
    return all;
  };
  EXPECT_EQ(masks.files(), 7u);
  EXPECT_THAT(found("a/0"), ElementsAre("a/0_mask.npy"));
  EXPECT_THAT(found("A/1"), ElementsAre("a/1_Mask.TIFF"));
  EXPECT_THAT(found("a/2"), ElementsAre("a/2_GT.bmp"));
  EXPECT_THAT(found("a/3"), ElementsAre("a/3/x.png", "a/3/y.png"));
  EXPECT_THAT(found("4"), ElementsAre("4.jpeg"));
  EXPECT_THAT(found("a"), IsEmpty());  // the masks of all images in a folder are not those of one
  EXPECT_THAT(found("a/5"), IsEmpty());
}

TEST(VisaSplit, IsReadByTheNamesOfItsColumns) {
  const auto rows = parse_split(
      "\xEF\xBB\xBFmask,image,label,split,object\n,\"a,b.png\",normal,train,c\n\nm.png,d.jpg,\"an \"\"x\"\"\",test,c\n",
      "s.csv");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0], (SplitRow{"c", true, "normal", "a,b.png", ""}));
  EXPECT_EQ(rows[1], (SplitRow{"c", false, "an \"x\"", "d.jpg", "m.png"}));
}

TEST(VisaSplit, WhatIsWrongIsToldByTheLine) {
  const auto error = [](const std::string& text) {
    return test::error_of<InputError>([&] { parse_split(text, "s.csv"); });
  };
  const std::string header = "object,split,label,image,mask\n";
  EXPECT_THAT(error(""), HasSubstr("s.csv: is empty"));
  EXPECT_THAT(error("object,split,label,image\n"), HasSubstr("s.csv:1: no column \"mask\""));
  EXPECT_THAT(error(header + "c,train,normal,a.png\n"), HasSubstr("s.csv:2: found 4 cells, expected 5"));
  EXPECT_THAT(error(header + "c,valid,normal,a.png,\n"), HasSubstr("s.csv:2: split is \"valid\""));
  EXPECT_THAT(error(header + "c,train,normal,a.gif,\n"), HasSubstr("s.csv:2: image is \"a.gif\""));
  EXPECT_THAT(error(header + "c,train,normal,../a.png,\n"), HasSubstr("leads out"));
  EXPECT_THAT(error(header + "c,train,normal,/a.png,\n"), HasSubstr("leads out"));
  EXPECT_THAT(error(header + "c,train,normal,a.png,\nc,train,normal,a.png,\n"),
              HasSubstr("s.csv:3: \"a.png\" is listed"));
  EXPECT_THAT(error(header + "c,train,\"normal,a.png,\n"), HasSubstr("s.csv:2: a quote is not closed"));
}

}  // namespace
}  // namespace ae::data::image_layouts_test
