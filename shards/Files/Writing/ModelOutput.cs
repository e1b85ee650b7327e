namespace Llama3Cluster.Shards.Files.Writing;

/// <summary>Where a model is written: the output appears under its name only once it is complete, and a partial one is removed.</summary>
internal static class ModelOutput
{
    /// <summary>Writes a file or a folder.</summary>
    /// <param name="path">Where it is to appear; nothing may be there yet.</param>
    /// <param name="bytes">What its weights take.</param>
    /// <param name="write">Writes it at the path that it is given.</param>
    /// <exception cref="ModelFileException">It cannot be written, or something is there already.</exception>
    public static void Write(string path, long bytes, Action<string> write)
    {
        string output = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        RequireRoom(output, bytes);
        string partial = $"{output}.{Guid.NewGuid():N}.partial";
        try
        {
            write(partial);
            if (Directory.Exists(partial))
                Directory.Move(partial, output);
            else
                File.Move(partial, output);
        }
        catch (Exception e)
        {
            Remove(partial);
            if (e is IOException or UnauthorizedAccessException)
                throw new ModelFileException($"{output} cannot be written: {e.Message}", e);
            throw;
        }
    }

    /// <summary>Requires that an output of a size can be made at a path.</summary>
    /// <exception cref="ModelFileException">Something is there already, or the folder is missing or too full.</exception>
    public static void RequireRoom(string output, long bytes)
    {
        if (Path.Exists(output))
            throw new ModelFileException($"{output} exists already; remove it or write elsewhere");
        string parent = Path.GetDirectoryName(output) ?? output;
        if (!Directory.Exists(parent))
            throw new ModelFileException($"there is no folder {parent} to write to");
        long free = new DriveInfo(parent).AvailableFreeSpace;
        if (bytes > free)
            throw new ModelFileException($"the model takes {bytes} bytes, but {parent} has {free} free; write elsewhere, "
                + "fewer layers, or fewer bits");
    }

    private static void Remove(string partial)
    {
        if (Directory.Exists(partial))
            Directory.Delete(partial, recursive: true);
        else
            File.Delete(partial);
    }
}
