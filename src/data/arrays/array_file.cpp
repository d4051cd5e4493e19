#include "data/arrays/array_file.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/bytes/zip.hpp"

namespace ae::data {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

class NpyStream final : public ArrayStream {
 public:
  NpyStream(std::unique_ptr<ByteSource> source, const NpyElement& element)
      : source_(std::move(source)), element_(element), piece_(kPieceBytes / 8 * element.size) {}

  void read(std::span<double> to) override {
    const std::size_t in_piece = piece_.size() / element_.size;
    for (std::size_t done = 0; done < to.size();) {
      const std::size_t count = std::min(in_piece, to.size() - done), bytes = count * element_.size;
      if (read_fully(*source_, piece_.data(), bytes) != bytes)
        throw InputError(source_->name() + ": ends before its last element; copy or write the file again");
      for (std::size_t i = 0; i < count; ++i) to[done + i] = element_.number(piece_.data() + i * element_.size);
      done += count;
    }
  }

  void finish() override {
    char beyond = 0;
    if (source_->read(&beyond, 1) != 0)
      throw InputError(source_->name() + ": bytes behind the array's end; write the file again");
  }

 private:
  std::unique_ptr<ByteSource> source_;
  NpyElement element_;
  std::vector<char> piece_;
};

ArrayInfo described_by(const NpyHeader& header, std::string name) {
  ArrayInfo array{std::move(name), {}, header.type, find_npy_element(header.type).has_value()};
  for (const auto length : header.shape)
    array.shape.push_back(
        static_cast<std::int64_t>(std::min<std::uint64_t>(length, std::numeric_limits<std::int64_t>::max())));
  return array;
}

// Several arrays of one archive, or an NPY file as the one array "observations".
class NumpyArrays final : public ArrayFile {
 public:
  explicit NumpyArrays(std::shared_ptr<RandomAccess> file) : file_(std::move(file)) {
    std::array<char, 2> head{};
    if (file_->size() >= head.size()) file_->read_at(0, head.data(), head.size());
    if (head[0] == 'P' && head[1] == 'K') {
      add_members();
    } else {
      const auto source = from_the_beginning(file_);
      const auto text = read_head(*source);
      if (const auto* type = recognise(text); type != nullptr && !begins_npy(text))
        throw wrong_kind(file_->name(), *type, "", "arrays: NPZ, NPY or HDF5");
      add("observations", *from_the_beginning(file_), file_->size());
    }
  }

  const std::string& name() const override { return file_->name(); }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }

  std::unique_ptr<ArrayStream> open(const ArrayInfo& array) const override {
    const auto at =
        static_cast<std::size_t>(std::ranges::find(arrays_, array.name, &ArrayInfo::name) - arrays_.begin());
    auto source = members_.empty() ? from_the_beginning(file_) : open_zip_member(file_, members_.at(at));
    const auto header = read_npy_header(*source);
    const auto element = find_npy_element(header.type);
    if (!element)
      throw InputError(source->name() + ": dtype " + ae::quoted(header.type) +
                       "; expected real numbers or truth values; convert them in NumPy with astype");
    if (header.fortran_order && header.shape.size() > 1)
      throw InputError(source->name() + ": an array in Fortran order; write it with numpy.ascontiguousarray");
    return std::make_unique<NpyStream>(std::move(source), *element);
  }

 private:
  void add_members() {
    std::vector<std::string> names;
    std::set<std::string> seen;
    for (const auto& member : read_zip_directory(*file_)) {
      names.push_back(member.name);
      if (!member.name.ends_with(".npy")) continue;
      const auto array = member.name.substr(0, member.name.size() - 4);
      if (!seen.insert(array).second)
        throw InputError(file_->name() + ": two arrays are called " + ae::quoted(array) +
                         "; expected one of a name; write the file again");
      add(array, *open_zip_member(file_, member), member.size);
      members_.push_back(member);
    }
    if (!arrays_.empty()) return;
    if (const auto* type = recognise_archive(names))
      throw wrong_kind(file_->name(), *type, "", "an NPZ archive of NumPy");
    throw InputError(file_->name() +
                     ": a ZIP archive without arrays; expected an NPZ archive of NumPy; write it with numpy.savez");
  }

  // `bytes`: of header and elements.
  void add(std::string name, ByteSource& source, std::uint64_t bytes) {
    const auto header = read_npy_header(source);
    auto array = described_by(header, std::move(name));
    const auto elements = elements_of_shape(array.shape);
    if (elements < 0)
      throw InputError(source.name() + ": an array of impossible shape " + npy_shape_text(header.shape));
    if (const auto element = find_npy_element(header.type)) {
      const auto expected = header.bytes + static_cast<std::uint64_t>(elements) * element->size;
      if (expected != bytes)
        throw InputError(source.name() + ": found " + std::to_string(bytes) + " bytes, expected " +
                         std::to_string(expected) + " of an array of shape " + npy_shape_text(header.shape) +
                         "; copy or write the file again");
    }
    arrays_.push_back(std::move(array));
  }

  std::shared_ptr<RandomAccess> file_;
  std::vector<ArrayInfo> arrays_;
  std::vector<ZipMember> members_;  // of the arrays; none of an NPY file
};

}  // namespace

std::int64_t element_bytes(const ArrayInfo& array) {
  const char last = array.type.empty() ? '\0' : array.type.back();
  return last >= '1' && last <= '9' ? last - '0' : 8;
}

std::string described(const ArrayInfo& array) {
  std::vector<std::uint64_t> shape(array.shape.begin(), array.shape.end());
  return printable(array.name) + " " + npy_shape_text(shape);
}

const ArrayInfo* ArrayFile::find(const std::string& array) const {
  const auto& all = arrays();
  const auto found = std::ranges::find(all, array, &ArrayInfo::name);
  return found == all.end() ? nullptr : &*found;
}

std::unique_ptr<ArrayFile> open_numpy_arrays(std::shared_ptr<RandomAccess> file) {
  return std::make_unique<NumpyArrays>(std::move(file));
}

std::int64_t elements_of_shape(std::span<const std::int64_t> shape) {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;
  std::int64_t product = 1;
  bool none = false;
  for (const auto length : shape) {
    if (length < 0 || length > kMost) return -1;
    none = none || length == 0;
    if (length > 0 && product > kMost / length) return -1;
    product *= std::max<std::int64_t>(length, 1);
  }
  return none ? 0 : product;
}

void BufferedArrayStream::read(std::span<double> to) {
  for (std::size_t done = 0; done < to.size();) {
    if (given_ == buffer_.size()) {
      fill(buffer_, static_cast<std::int64_t>(to.size() - done));
      given_ = 0;
    }
    const auto count = std::min(to.size() - done, buffer_.size() - given_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(given_), count,
                to.begin() + static_cast<std::ptrdiff_t>(done));
    given_ += count;
    done += count;
  }
}

}  // namespace ae::data
