// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <src/internal/file_writer.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>

namespace mixgrad::io {
namespace {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  /// Returns whether closing succeeded: some file systems report a failed write only here.
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) content.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

[[noreturn]] void cannot_write(const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  failed_run("can't write {}: {}{}", path, std::strerror(error), full ? ": free some space" : "");
}

/// A path's folder ("" or ending in a slash) and file name.
std::pair<std::string, std::string> parts_of(const std::string& path) {
  const size_t name = path.rfind('/') + 1;
  return {path.substr(0, name), path.substr(name)};
}

int open_folder(const std::string& folder, int flags) {
  return ::open(folder.empty() ? "." : folder.c_str(), flags | O_DIRECTORY | O_CLOEXEC);
}

/// Creates a temporary file in `folder`. Its name does not depend on the target's, so it is never too long.
int create_aside(int folder, std::string& name) {
  static std::atomic<unsigned> counter{0};
  int fd = -1;
  do {
    name = fmt::format(".mixgrad-{}-{}.tmp", ::getpid(), counter++);
    fd = ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EEXIST);  // left by a killed run or in use on another machine
  return fd;
}

/// Makes a rename in `folder` durable. Not every file system can, but the file is complete either way.
void sync_folder(const std::string& folder) {
  const Descriptor fd(open_folder(folder, O_RDONLY));
  if (fd) ::fsync(fd.get());
}

/// Follows symbolic links, so that a link is kept; returns `path` itself if there is no file yet.
std::string resolve(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? real.get() : path;
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) bad_input("can't read {}: {}", path, std::strerror(errno));
  std::string content;
  size_t used = 0;
  for (;;) {  // the size is only a hint: pipes have none, and a file may grow
    if (used == content.size())
      content.resize(used == 0 ? static_cast<size_t>(std::max<off_t>(status.st_size, 0)) + 4096 : 2 * used);
    const ssize_t n = ::read(fd.get(), content.data() + used, content.size() - used);
    if (n == 0) break;
    if (n < 0 && errno != EINTR) bad_input("can't read {}: {}", path, std::strerror(errno));
    if (n > 0) used += static_cast<size_t>(n);
  }
  content.resize(used);
  return content;
}

Mapped::Mapped(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) bad_input("can't read {}: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) bad_input("can't read {}: not a file", path);
  if (status.st_size == 0) return;
  void* data = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) bad_input("can't read {}: {}", path, std::strerror(errno));
  data_ = static_cast<const char*>(data);
  size_ = static_cast<size_t>(status.st_size);
}

Mapped::~Mapped() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

void check_folder(const std::string& folder) {
  std::string probe =
      (folder.empty() ? "." : folder) + "/.mixgrad-XXXXXX";  // permissions alone don't show a read-only file system
  const int fd = ::mkstemp(probe.data());
  if (fd < 0) bad_input("can't write into folder {}: {}", folder.empty() ? "." : folder, std::strerror(errno));
  ::close(fd);
  ::unlink(probe.c_str());
}

void check_file(const std::string& path) {
  struct stat status {};
  const bool stands = ::stat(path.c_str(), &status) == 0;
  if (stands && S_ISDIR(status.st_mode)) bad_input("can't write {}: it is a folder, expected a file", path);
  if (!stands || S_ISREG(status.st_mode)) check_folder(parts_of(path).first);
}

struct FileWriter::Impl {
  std::string path, folder, name, aside = {};
  Descriptor place{-1};  // the folder: keeps it even if it is moved meanwhile
  Descriptor file{-1};

  /// Removes the incomplete file.
  void remove() {
    if (!aside.empty()) ::unlinkat(place.get(), aside.c_str(), 0);
    aside.clear();
  }
  [[noreturn]] void fail() {
    const int error = errno;
    remove();
    cannot_write(path, error);
  }
};

FileWriter::FileWriter(const std::string& path) : impl_(std::make_unique<Impl>()) {
  Impl& i = *impl_;
  i.path = path;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    i.file = Descriptor(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // a device or pipe, which a rename would replace
    if (!i.file) i.fail();
    return;
  }
  std::tie(i.folder, i.name) = parts_of(resolve(path));
  i.place = Descriptor(open_folder(i.folder, O_PATH));
  if (!i.place) i.fail();
  std::string aside;
  i.file = Descriptor(create_aside(i.place.get(), aside));
  if (!i.file) i.fail();
  i.aside = aside;
}

FileWriter::~FileWriter() { impl_->remove(); }

void FileWriter::add(std::string_view content) {
  if (!write_all(impl_->file.get(), content)) impl_->fail();
}

void FileWriter::finish() {
  Impl& i = *impl_;
  const bool aside = !i.aside.empty();
  if ((aside && ::fsync(i.file.get()) != 0) || !i.file.close() ||
      (aside && ::renameat(i.place.get(), i.aside.c_str(), i.place.get(), i.name.c_str()) != 0))
    i.fail();
  if (aside) sync_folder(i.folder);
  i.aside.clear();
}

void write_file(const std::string& path, std::string_view content) {
  FileWriter writer(path);
  writer.add(content);
  writer.finish();
}

void write_at(const std::string& path, int64_t offset, std::string_view content) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | (offset == 0 ? O_CREAT : 0), 0666));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) cannot_write(path, errno);
  if (status.st_size < offset)
    failed_run("can't write {}: it has changed: {} bytes, expected at least {}", path, status.st_size, offset);
  const auto cut = [&] { return ::ftruncate(fd.get(), offset) == 0; };
  if (!cut() || ::lseek(fd.get(), offset, SEEK_SET) != offset || !write_all(fd.get(), content) ||
      ::fsync(fd.get()) != 0) {
    const int error = errno;
    cannot_write(path, cut() ? error : errno);
  }
  if (!fd.close()) cannot_write(path, errno);
  if (offset == 0) sync_folder(parts_of(path).first);
}

}  // namespace mixgrad::io
