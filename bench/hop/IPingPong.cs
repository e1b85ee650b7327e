namespace Llama3Cluster.Hop;

/// <summary>Something that sends a payload to the other side and gets it back.</summary>
internal interface IPingPong : IDisposable
{
    /// <summary>Sends the payload to and fro, one at a time, until the time is up.</summary>
    /// <param name="bytes">Bytes of the payload.</param>
    /// <param name="seconds">How long.</param>
    /// <param name="roundTrips">Gets the seconds of each round trip.</param>
    void Play(int bytes, double seconds, List<double> roundTrips);
}
