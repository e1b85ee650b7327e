namespace Llama3Cluster.Kernels.Devices;

/// <summary>A device has no memory left for what was asked of it. The message says how much was asked for and how much there is.</summary>
public sealed class DeviceMemoryException : Exception
{
    /// <summary>Creates the error.</summary>
    public DeviceMemoryException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the error with the driver's own.</summary>
    public DeviceMemoryException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
