package io.delta.storage;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * Delta's store of table logs on a local disk, where listing does not get slower with every commit.
 *
 * Hadoop asks the disk three times about each file of a folder, and Delta lists a log several times for each commit, only
 * to drop all but the files after the last checkpoint. Here names are compared first.
 */
public class FolderLogStore extends LocalLogStore {
  public FolderLogStore(Configuration configuration) {
    super(configuration);
  }

  public Iterator listFrom(Path first, Configuration configuration) throws IOException {
    Path folder = first.getParent();
    // A link of dbfs:/ leads to the local directory, a mount to S3.
    Path place = folder.getFileSystem(configuration).resolvePath(folder);
    if (!"file".equals(place.toUri().getScheme())) return super.listFrom(first, configuration);
    File directory = new File(place.toUri().getPath());
    String[] names = directory.list();
    if (names == null) throw new FileNotFoundException("No such file or directory: " + folder);
    Arrays.sort(names);
    List found = new ArrayList();
    for (int i = 0; i < names.length; i++) {
      if (names[i].compareTo(first.getName()) < 0) continue;
      File file = new File(directory, names[i]);
      long time = file.lastModified();
      if (time == 0) continue; // deleted meanwhile
      found.add(new FileStatus(file.length(), file.isDirectory(), 1, 32L << 20, time, new Path(folder, names[i])));
    }
    return found.iterator();
  }
}
